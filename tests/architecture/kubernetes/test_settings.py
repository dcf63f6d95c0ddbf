"""Settings and secrets of the Kubernetes manifests: who gets which, and no file holds one."""

import re

from tests.architecture.kubernetes.kustomize import containers
from tests.architecture.kubernetes.overlays import (
    BUILT,
    FOLDER,
    SECRETS,
    each_overlay,
    each_process,
    environment,
    of_kind,
    settings_of,
    workload,
)

from dermtriage.core.settings import Settings


@each_overlay
def test_variables_are_settings_that_exist(name: str) -> None:
    known = {f"DERMTRIAGE_{field.upper()}" for field in Settings.model_fields}
    given = set(of_kind(name, "ConfigMap")["settings"]["data"]) | set(SECRETS)
    for manifest in BUILT[name]:
        for container in containers(manifest):
            given |= set(environment(container))
    assert {variable for variable in given if variable.startswith("DERMTRIAGE_")} <= known
    settings_of(name).require("database_url")


@each_process
def test_a_process_gets_the_settings_and_its_secrets(name: str, process: str) -> None:
    needed = set(SECRETS) - {"DERMTRIAGE_SECRET_KEY"}
    if process == "migrate":
        needed -= {"DERMTRIAGE_REDIS_URL"}
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


@each_overlay
def test_keda_connects_to_the_same_database(name: str) -> None:
    (authentication,) = of_kind(name, "TriggerAuthentication").values()
    given = {ref["parameter"]: ref["key"] for ref in authentication["spec"]["secretTargetRef"]}
    # Pinned, because KEDA ignores a parameter that it does not know, and a missing one leaves its
    # default, such as an unencrypted connection.
    assert given == {
        "host": "PGHOST",
        "port": "PGPORT",
        "dbName": "PGDATABASE",
        "userName": "PGUSER",
        "password": "PGPASSWORD",
        "sslmode": "PGSSLMODE",
    }
    assert set(given.values()) <= set(SECRETS)


def test_no_file_holds_a_secret() -> None:
    assert all(manifest["kind"] != "Secret" for built in BUILT.values() for manifest in built)
    # Pinned, because a value beyond these would be the beginning of a secret in the repository.
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
