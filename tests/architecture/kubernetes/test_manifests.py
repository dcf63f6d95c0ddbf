"""The Kubernetes manifests are valid, complete, and in agreement with each other."""

import json
import tomllib
from pathlib import Path

import jsonschema
import kubernetes_validate
from tests.architecture.kubernetes import kustomize
from tests.architecture.kubernetes.kustomize import containers, pod
from tests.architecture.kubernetes.overlays import (
    BUILT,
    FOLDER,
    OVERLAYS,
    PROCESSES,
    each_overlay,
    of_kind,
    workload,
)

from dermtriage.core.settings import ROOT

KEDA = json.loads(Path(__file__).with_name("keda.schema.json").read_text())
OLDEST = "1.30"
"""The first version of Kubernetes that knows the action `sleep` before a container is stopped."""


def test_there_is_an_overlay_for_each_kind_of_device() -> None:
    # Pinned, because the other tests run once per overlay that they find, also if they find none.
    assert set(OVERLAYS) == {"cpu", "gpu"}


def test_every_file_is_listed_and_every_listed_file_exists() -> None:
    for path in FOLDER.rglob("kustomization.yaml"):
        kustomization = kustomize.read(path.parent)
        listed = set(kustomization.get("resources", ()))
        listed |= {patch["path"] for patch in kustomization.get("patches", ())}
        for generator in kustomization.get("configMapGenerator", ()):
            listed |= set(generator["envs"])
        assert all((path.parent / name).exists() for name in listed), path
        here = {entry.name for entry in path.parent.iterdir()} - {path.name}
        assert here == {name for name in listed if not name.startswith("..")}, path


@each_overlay
def test_manifests_are_valid_by_the_schemas_of_kubernetes(name: str) -> None:
    for manifest in BUILT[name]:
        if manifest["apiVersion"].startswith("keda.sh/"):
            continue
        for version in (OLDEST, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, version, strict=True)


@each_overlay
def test_scaling_is_valid_by_the_schema_of_keda(name: str) -> None:
    found = [m for m in BUILT[name] if m["apiVersion"].startswith("keda.sh/")]
    # Pinned, because without these kinds the loop below would check nothing.
    assert {m["kind"] for m in found} == {"ScaledObject", "TriggerAuthentication"}
    for manifest in found:
        jsonschema.Draft202012Validator(KEDA).validate(manifest)


@each_overlay
def test_images_are_built_here_and_have_this_version(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {p: {c["image"] for c in containers(workload(name, p))} for p in PROCESSES}
    for process, of_process in images.items():
        image = "dermtriage-worker" if process.startswith("worker") else "dermtriage-api"
        assert of_process == {f"{image}:{version}"}


@each_overlay
def test_labels_and_selectors_agree(name: str) -> None:
    labels = {p: pod(workload(name, p))["metadata"]["labels"] for p in PROCESSES}
    for process, given in labels.items():
        assert workload(name, process)["metadata"]["labels"] == given
        assert given == {
            "app.kubernetes.io/name": "dermtriage",
            "app.kubernetes.io/component": process,
        }
    for process, deployment in of_kind(name, "Deployment").items():
        assert deployment["spec"]["selector"] == {"matchLabels": labels[process]}
    (budget,) = of_kind(name, "PodDisruptionBudget").values()
    assert budget["spec"]["selector"] == {"matchLabels": labels["api"]}
    (service,) = of_kind(name, "Service").values()
    assert service["spec"]["selector"] == labels["api"]
    (spread,) = pod(workload(name, "api"))["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == {"matchLabels": labels["api"]}
