"""The Kubernetes manifests: valid, hardened, in agreement with each other, and without secrets."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from tests.architecture import kustomize
from tests.architecture.kustomize import Manifest, containers, pod

from dermtriage.core.settings import Settings
from dermtriage.database import engine
from dermtriage_api.app import create_app

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KEDA = json.loads(Path(__file__).with_name("keda.schema.json").read_text())
OLDEST = "1.30"
"""The first Kubernetes that sleeps before it stops a container."""

OVERLAYS = {
    path.parent.name: path.parent for path in sorted(FOLDER.glob("overlays/*/kustomization.yaml"))
}
BUILT = {name: kustomize.build(folder) for name, folder in OVERLAYS.items()}
SECRETS = kustomize.variables(FOLDER / "secret.env.example")
PROCESSES = {"api", "migrate", "upkeep", "worker", "worker-bulk"}

overlay = pytest.mark.parametrize("name", BUILT)
each = pytest.mark.parametrize(
    ("name", "process"), [(o, p) for o in BUILT for p in sorted(PROCESSES)]
)


def of_kind(name: str, kind: str) -> dict[str, Manifest]:
    return {m["metadata"]["name"]: m for m in BUILT[name] if m["kind"] == kind}


def workload(name: str, process: str) -> Manifest:
    return (of_kind(name, "Deployment") | of_kind(name, "Job"))[process]


def settings_of(name: str) -> Settings:
    """Return the settings that the processes of an overlay start with, but for the secrets."""
    data = of_kind(name, "ConfigMap")["settings"]["data"]
    return Settings(**{key.removeprefix("DERMTRIAGE_").lower(): v for key, v in data.items()})


def environment(container: Manifest) -> dict[str, Any]:
    return {entry["name"]: entry for entry in container["env"]}


def test_there_is_an_overlay_for_each_kind_of_device() -> None:
    assert set(OVERLAYS) == {"cpu", "gpu"}


def test_every_file_is_listed_and_there() -> None:
    for path in FOLDER.rglob("kustomization.yaml"):
        kustomization = kustomize.read(path.parent)
        listed = set(kustomization.get("resources", ()))
        listed |= {patch["path"] for patch in kustomization.get("patches", ())}
        for generator in kustomization.get("configMapGenerator", ()):
            listed |= set(generator["envs"])
        assert all((path.parent / name).exists() for name in listed), path
        here = {entry.name for entry in path.parent.iterdir()} - {path.name}
        assert here == {name for name in listed if not name.startswith("..")}, path


@overlay
def test_manifests_follow_the_schemas_of_kubernetes(name: str) -> None:
    for manifest in BUILT[name]:
        if manifest["apiVersion"].startswith("keda.sh/"):
            continue
        for version in (OLDEST, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, version, strict=True)


@overlay
def test_scaling_follows_the_reference_of_keda(name: str) -> None:
    found = [m for m in BUILT[name] if m["apiVersion"].startswith("keda.sh/")]
    assert {m["kind"] for m in found} == {"ScaledObject", "TriggerAuthentication"}
    for manifest in found:
        jsonschema.Draft202012Validator(KEDA).validate(manifest)


@overlay
def test_settings_are_spelt_as_the_program_reads_them(name: str) -> None:
    known = {f"DERMTRIAGE_{field.upper()}" for field in Settings.model_fields}
    given = set(of_kind(name, "ConfigMap")["settings"]["data"]) | set(SECRETS)
    for manifest in BUILT[name]:
        for container in containers(manifest):
            given |= set(environment(container))
    assert {variable for variable in given if variable.startswith("DERMTRIAGE_")} <= known
    settings_of(name).require("database_url")


@each
def test_a_process_gets_the_settings_and_its_secrets(name: str, process: str) -> None:
    needed = {variable for variable in SECRETS if variable.startswith("PG")}
    if process != "migrate":
        needed |= set(SECRETS) - {"DERMTRIAGE_SECRET_KEY"}
    if process == "api":
        needed |= {"DERMTRIAGE_SECRET_KEY"}
    for container in containers(workload(name, process)):
        assert container["envFrom"] == [{"configMapRef": {"name": "settings"}}]
        secrets = {
            variable: entry["valueFrom"]["secretKeyRef"]
            for variable, entry in environment(container).items()
            if "secretKeyRef" in entry.get("valueFrom", {})
        }
        assert secrets == {key: {"name": "dermtriage", "key": key} for key in needed}


@overlay
def test_keda_gets_the_same_database(name: str) -> None:
    (authentication,) = of_kind(name, "TriggerAuthentication").values()
    given = {ref["parameter"]: ref["key"] for ref in authentication["spec"]["secretTargetRef"]}
    assert given == {
        "host": "PGHOST",
        "port": "PGPORT",
        "dbName": "PGDATABASE",
        "userName": "PGUSER",
        "password": "PGPASSWORD",
        "sslmode": "PGSSLMODE",
    }
    assert set(given.values()) <= set(SECRETS)


def test_nothing_secret_stands_in_the_files() -> None:
    assert all(manifest["kind"] != "Secret" for built in BUILT.values() for manifest in built)
    harmless = {"PGPORT": "5432", "PGDATABASE": "dermtriage", "PGUSER": "dermtriage"}
    assert {key: value for key, value in SECRETS.items() if value} == harmless | {
        "PGSSLMODE": "require"
    }
    assert "secret.env" in (FOLDER / ".gitignore").read_text().splitlines()
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.name not in {"secret.env", "secret.env.example"}:
            text = path.read_text()
            # A password in a URL, a variable of the Secret with a value of its own, a key.
            assert not re.search(r"://[^\s/]*:[^\s/]*@", text), path
            assert not re.search(rf"\b({'|'.join(SECRETS)})\s*[=:]\s*\S", text), path
            assert not re.search(r"[A-Za-z0-9+/]{32,}", text), path
    for built in BUILT.values():
        for manifest in built:
            for container in containers(manifest):
                assert not [entry for entry in container["env"] if "value" in entry]


@overlay
def test_images_are_ours_of_this_version_from_no_registry(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {p: {c["image"] for c in containers(workload(name, p))} for p in PROCESSES}
    for process, of_process in images.items():
        image = "dermtriage-worker" if process.startswith("worker") else "dermtriage-api"
        assert of_process == {f"{image}:{version}"}


@each
def test_a_pod_has_no_more_rights_than_it_needs(name: str, process: str) -> None:
    spec = pod(workload(name, process))["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    image = "worker" if process.startswith("worker") else "api"
    dockerfile = (ROOT / "services" / image / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert {"hostNetwork", "hostPID", "hostIPC", "hostUsers"}.isdisjoint(spec)
    for container in containers(workload(name, process)):
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
    (volume,) = spec["volumes"]
    assert volume["emptyDir"]["medium"] == "Memory"


@overlay
def test_the_namespace_refuses_what_is_not_hardened(name: str) -> None:
    namespace = of_kind(name, "Namespace")["dermtriage"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for manifest in BUILT[name]:
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "dermtriage"


@overlay
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


@overlay
def test_the_network_lets_in_to_the_api_alone(name: str) -> None:
    policies = {key: policy["spec"] for key, policy in of_kind(name, "NetworkPolicy").items()}
    assert policies.pop("nothing") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (entrance,) = (spec for spec in policies.values() if "Ingress" in spec["policyTypes"])
    labels = pod(workload(name, "api"))["metadata"]["labels"]
    assert entrance["podSelector"] == {"matchLabels": labels}
    (rule,) = entrance["ingress"]
    assert rule["from"]
    (ways_out,) = (spec for spec in policies.values() if "Egress" in spec["policyTypes"])
    assert ways_out["podSelector"]["matchLabels"].items() <= labels.items()


@overlay
def test_the_api_is_reached_by_the_port_that_it_listens_on(name: str) -> None:
    (container,) = containers(workload(name, "api"))
    (port,) = container["ports"]
    dockerfile = (ROOT / "services/api/Dockerfile").read_text()
    assert f"EXPOSE {port['containerPort']}\n" in dockerfile
    (service,) = of_kind(name, "Service").values()
    (policy,) = (
        spec["ingress"][0]["ports"]
        for policy in of_kind(name, "NetworkPolicy").values()
        if "ingress" in (spec := policy["spec"])
    )
    named = {port["targetPort"] for port in service["spec"]["ports"]} | {p["port"] for p in policy}
    named |= {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")}
    assert named == {port["name"]}


@overlay
def test_the_api_is_asked_by_its_own_routes_and_given_time_to_answer(name: str) -> None:
    (container,) = containers(workload(name, "api"))
    routes = create_app(settings_of(name)).openapi()["paths"]
    probes = {probe: container[probe] for probe in ("livenessProbe", "readinessProbe")}
    asked = {probe: found["httpGet"]["path"] for probe, found in probes.items()}
    assert asked == {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert set(asked.values()) <= set(routes)
    settings = settings_of(name)
    # Database, store (twice its timeout, see the settings' page) and Redis are asked in turn.
    longest = 3 * settings.connect_timeout + settings.redis_timeout
    assert probes["readinessProbe"]["timeoutSeconds"] > longest


@overlay
def test_a_pod_may_finish_what_it_has_begun(name: str) -> None:
    settings = settings_of(name)
    (statement,) = re.findall(r"-c statement_timeout=(\d+)s", Path(engine.__file__).read_text())
    for process in ("worker", "worker-bulk"):
        grace = pod(workload(name, process))["spec"]["terminationGracePeriodSeconds"]
        assert grace > settings.lease_seconds + int(statement)
    dockerfile = (ROOT / "services/api/Dockerfile").read_text()
    (requests,) = re.findall(r'"--timeout-graceful-shutdown", "(\d+)"', dockerfile)
    spec = pod(workload(name, "api"))["spec"]
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > pause + int(requests)


@overlay
def test_keda_alone_says_how_many_workers_there_are(name: str) -> None:
    scaled = of_kind(name, "ScaledObject")
    targets = {s["spec"]["scaleTargetRef"]["name"]: s["spec"] for s in scaled.values()}
    assert set(targets) == {"worker", "worker-bulk"}
    for target in targets:
        assert "replicas" not in workload(name, target)["spec"]
    assert targets["worker"]["minReplicaCount"] >= 1
    assert targets["worker-bulk"]["minReplicaCount"] == 0
    for spec in targets.values():
        assert spec["maxReplicaCount"] > spec["minReplicaCount"]
        (trigger,) = spec["triggers"]
        (reference,) = of_kind(name, "TriggerAuthentication")
        assert trigger["authenticationRef"] == {"name": reference}


@overlay
def test_there_is_one_beat_and_more_than_one_api(name: str) -> None:
    upkeep = workload(name, "upkeep")["spec"]
    assert (upkeep["replicas"], upkeep["strategy"]) == (1, {"type": "Recreate"})
    assert workload(name, "api")["spec"]["replicas"] > 1
    assert workload(name, "api")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@overlay
def test_workers_differ_in_name_alone(name: str) -> None:
    uploads, bulk = (
        yaml.safe_load(yaml.safe_dump(workload(name, process)))
        for process in ("worker", "worker-bulk")
    )
    for manifest in (uploads, bulk):
        manifest["metadata"]["name"] = manifest["metadata"]["labels"] = ""
        manifest["spec"]["selector"] = pod(manifest)["metadata"] = ""
    assert uploads == bulk


@pytest.mark.parametrize("process", ["worker", "worker-bulk"])
def test_a_gpu_worker_has_a_gpu_and_insists_on_it(process: str) -> None:
    limits = {name: _worker(name, process)["resources"]["limits"] for name in BUILT}
    assert limits["gpu"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in limits["cpu"]
    assert {name: settings_of(name).device for name in BUILT} == {"cpu": "cpu", "gpu": "cuda"}
    tolerations = pod(workload("gpu", process))["spec"]["tolerations"]
    assert [toleration["key"] for toleration in tolerations] == ["nvidia.com/gpu"]


@pytest.mark.parametrize("process", ["worker", "worker-bulk"])
@overlay
def test_a_worker_uses_no_more_threads_than_it_asks_for(name: str, process: str) -> None:
    threads = environment(_worker(name, process))["OMP_NUM_THREADS"]["valueFrom"]
    assert threads == {"resourceFieldRef": {"resource": "requests.cpu"}}


def _worker(name: str, process: str) -> Manifest:
    (found,) = (c for c in containers(workload(name, process)) if c["name"] == "worker")
    return found
