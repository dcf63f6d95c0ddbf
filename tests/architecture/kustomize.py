"""As much of kustomize as deploy/kubernetes uses, so that tests read what a cluster would get.

Names of generated ConfigMaps stay without the hash that kustomize appends.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

KNOWN = {
    "apiVersion",
    "kind",
    "resources",
    "namespace",
    "nameSuffix",
    "labels",
    "images",
    "patches",
    "configMapGenerator",
}
"""Fields of a kustomization that `build` carries out; it refuses every other."""


def read(folder: Path) -> Manifest:
    """Return a folder's kustomization."""
    found: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(found) - KNOWN:
        raise NotImplementedError(f"{folder}: {unknown}")
    return found


def build(folder: Path) -> list[Manifest]:
    """Return the manifests that a folder's kustomization stands for."""
    kustomization = read(folder)
    manifests: list[Manifest] = []
    for name in kustomization.get("resources", ()):
        path = folder / name
        manifests += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    # Anchors make several places share one object, which a change of one of them must not reach.
    manifests = [yaml.safe_load(yaml.dump(manifest, Dumper=_Whole)) for manifest in manifests]
    for generator in kustomization.get("configMapGenerator", ()):
        _generate(manifests, folder, generator)
    for patch in kustomization.get("patches", ()):
        change = yaml.safe_load((folder / patch["path"]).read_text())
        for manifest in manifests:
            if _is_meant(manifest, patch["target"]):
                _merge(manifest, {"spec": change["spec"]})
    for manifest in manifests:
        metadata = manifest["metadata"]
        metadata["name"] += kustomization.get("nameSuffix", "")
        if "namespace" in kustomization and manifest["kind"] != "Namespace":
            metadata["namespace"] = kustomization["namespace"]
        for label in kustomization.get("labels", ()):
            _label(manifest, label["pairs"])
        for container in containers(manifest):
            for image in kustomization.get("images", ()):
                if container["image"] == image["name"]:
                    container["image"] += f":{image['newTag']}"
    return manifests


def pod(manifest: Manifest) -> Manifest:
    """Return the template of the pods that a manifest makes; empty if it makes none."""
    template: Manifest = manifest.get("spec", {}).get("template", {})
    return template


def containers(manifest: Manifest) -> list[Manifest]:
    """Return all containers of the pods that a manifest makes."""
    spec = pod(manifest).get("spec", {})
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def variables(path: Path) -> dict[str, str]:
    """Read a file of variables, one a line; comments begin with ``#``."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


class _Whole(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _generate(manifests: list[Manifest], folder: Path, generator: Manifest) -> None:
    data: dict[str, str] = {}
    for name in generator["envs"]:
        data |= variables(folder / name)
    if generator.get("behavior") == "merge":
        (found,) = _named(manifests, "ConfigMap", generator["name"])
        found["data"] |= data
    else:
        metadata = {"name": generator["name"]}
        manifests.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        )


def _named(manifests: list[Manifest], kind: str, name: str) -> Iterator[Manifest]:
    for manifest in manifests:
        if (manifest["kind"], manifest["metadata"]["name"]) == (kind, name):
            yield manifest


def _is_meant(manifest: Manifest, target: dict[str, str]) -> bool:
    name = manifest["metadata"]["name"]
    return manifest["kind"] == target["kind"] and bool(re.fullmatch(target["name"], name))


def _merge(into: Manifest, change: Manifest) -> None:
    """Merge as Kubernetes does: objects by key, containers by name, other lists as a whole."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif key == "containers":
            for container in value:
                (found,) = (item for item in into[key] if item["name"] == container["name"])
                _merge(found, container)
        else:
            into[key] = value


def _label(manifest: Manifest, pairs: dict[str, str]) -> None:
    """Label a Deployment, its selector and its pods."""
    manifest["metadata"]["labels"].update(pairs)
    manifest["spec"]["selector"]["matchLabels"].update(pairs)
    pod(manifest)["metadata"]["labels"].update(pairs)
