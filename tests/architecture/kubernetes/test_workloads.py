"""How many of each process run, on which device, how they are probed and stopped."""

import re
from pathlib import Path

import pytest
import yaml
from tests.architecture.kubernetes.kustomize import containers, pod
from tests.architecture.kubernetes.overlays import (
    BUILT,
    each_overlay,
    environment,
    of_kind,
    settings_of,
    worker_container,
    workload,
)

from dermtriage.core.settings import ROOT
from dermtriage.database import engine
from dermtriage_api.app import create_app


@each_overlay
def test_the_api_is_reached_at_the_port_that_it_listens_on(name: str) -> None:
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


@each_overlay
def test_probes_of_the_api_use_its_routes_and_give_it_time_to_answer(name: str) -> None:
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


@each_overlay
def test_a_pod_has_time_to_finish_its_work_before_it_is_killed(name: str) -> None:
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


@each_overlay
def test_only_keda_sets_the_number_of_workers(name: str) -> None:
    scaled = of_kind(name, "ScaledObject")
    targets = {s["spec"]["scaleTargetRef"]["name"]: s["spec"] for s in scaled.values()}
    # Pinned, because a worker that no ScaledObject names would stay at one replica.
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


@each_overlay
def test_there_is_one_upkeep_and_more_than_one_api(name: str) -> None:
    upkeep = workload(name, "upkeep")["spec"]
    assert (upkeep["replicas"], upkeep["strategy"]) == (1, {"type": "Recreate"})
    assert workload(name, "api")["spec"]["replicas"] > 1
    assert workload(name, "api")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@each_overlay
def test_workers_differ_only_in_name(name: str) -> None:
    uploads, bulk = (
        yaml.safe_load(yaml.safe_dump(workload(name, process)))
        for process in ("worker", "worker-bulk")
    )
    for manifest in (uploads, bulk):
        manifest["metadata"]["name"] = manifest["metadata"]["labels"] = ""
        manifest["spec"]["selector"] = pod(manifest)["metadata"] = ""
    assert uploads == bulk


@pytest.mark.parametrize("process", ["worker", "worker-bulk"])
def test_a_gpu_worker_requests_a_gpu_and_uses_no_other_device(process: str) -> None:
    limits = {name: worker_container(name, process)["resources"]["limits"] for name in BUILT}
    assert limits["gpu"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in limits["cpu"]
    assert {name: settings_of(name).device for name in BUILT} == {"cpu": "cpu", "gpu": "cuda"}
    tolerations = pod(workload("gpu", process))["spec"]["tolerations"]
    assert [toleration["key"] for toleration in tolerations] == ["nvidia.com/gpu"]


@pytest.mark.parametrize("process", ["worker", "worker-bulk"])
@each_overlay
def test_a_worker_uses_no_more_threads_than_the_cpus_it_requests(name: str, process: str) -> None:
    threads = environment(worker_container(name, process))["OMP_NUM_THREADS"]["valueFrom"]
    assert threads == {"resourceFieldRef": {"resource": "requests.cpu"}}
