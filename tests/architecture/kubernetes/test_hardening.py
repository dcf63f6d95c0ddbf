"""Rights and network of the pods: no more than each needs."""

import re

from tests.architecture.kubernetes.kustomize import containers, pod
from tests.architecture.kubernetes.overlays import (
    BUILT,
    each_overlay,
    each_process,
    of_kind,
    workload,
)

from dermtriage.core.settings import ROOT


@each_process
def test_a_pod_has_no_more_rights_than_it_needs(name: str, process: str) -> None:
    spec = pod(workload(name, process))["spec"]
    # Pinned as a whole, here and below, because each field that is missing or added changes the
    # rights of the pod.
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


@each_overlay
def test_the_namespace_enforces_the_restricted_profile(name: str) -> None:
    namespace = of_kind(name, "Namespace")["dermtriage"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for manifest in BUILT[name]:
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "dermtriage"


@each_overlay
def test_the_network_admits_connections_only_to_the_api(name: str) -> None:
    policies = {key: policy["spec"] for key, policy in of_kind(name, "NetworkPolicy").items()}
    assert policies.pop("deny-all") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (entrance,) = (spec for spec in policies.values() if "Ingress" in spec["policyTypes"])
    labels = pod(workload(name, "api"))["metadata"]["labels"]
    assert entrance["podSelector"] == {"matchLabels": labels}
    (rule,) = entrance["ingress"]
    assert rule["from"]
    (ways_out,) = (spec for spec in policies.values() if "Egress" in spec["policyTypes"])
    assert ways_out["podSelector"]["matchLabels"].items() <= labels.items()
