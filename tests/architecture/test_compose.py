"""The Compose file: valid, hardened, complete, and without secrets of its own."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dermtriage.core.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if "build" in service}
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "DERMTRIAGE_SECRET_KEY"}
"""Pinned, because nothing else tells a secret from a setting that may have a default."""

each = pytest.mark.parametrize("name", SERVICES)


def test_the_file_follows_the_specification() -> None:
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    process = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout


def test_all_processes_are_services() -> None:
    """Pinned, because the other tests run once per service that the file has."""
    assert set(SERVICES) == {
        "postgres",
        "redis",
        "migrate",
        "api",
        "upkeep",
        "worker",
        "worker-gpu",
    }
    # Only what needs a GPU may be left out by `docker compose up`.
    assert {name for name in SERVICES if "profiles" in SERVICES[name]} == {"worker-gpu"}


@each
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert {"privileged", "cap_add", "network_mode", "pid"}.isdisjoint(service)


@each
def test_a_service_restarts_and_has_a_health_check_and_bounded_logs(name: str) -> None:
    service = SERVICES[name]
    once = name == "migrate"
    assert service["restart"] == ("no" if once else "unless-stopped")
    assert ("healthcheck" in service) is not once
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}


def test_only_the_api_can_be_reached() -> None:
    assert {name for name in SERVICES if "ports" in SERVICES[name]} == {"api"}
    assert SERVICES["api"]["ports"][0].startswith("${API_ADDRESS:-127.0.0.1:")
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert {name for name in SERVICES if SERVICES[name]["networks"] != ["inside"]} == {"api"}


@pytest.mark.parametrize("name", sorted(OURS - {"migrate"}))
def test_our_processes_wait_for_the_migration(name: str) -> None:
    needed = SERVICES[name]["depends_on"]
    assert needed["migrate"]["condition"] == "service_completed_successfully"
    assert "redis" in needed
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_a_worker_has_time_to_finish_its_batch() -> None:
    for name in ("worker", "worker-gpu"):
        assert SERVICES[name]["stop_grace_period"] == "2m"


def test_variables_are_the_settings_that_exist() -> None:
    known = {f"DERMTRIAGE_{name.upper()}" for name in Settings.model_fields}
    given = {
        variable
        for name in OURS
        for variable in SERVICES[name]["environment"]
        if variable.startswith("DERMTRIAGE_")
    }
    # The releases lie inside the images, which know where.
    assert given == known - {"DERMTRIAGE_RELEASES_DIR"}


def test_the_values_of_the_file_are_valid_settings() -> None:
    for name in OURS:
        given = {
            variable.removeprefix("DERMTRIAGE_").lower(): re.sub(r"\$\{.*?\}", "x" * 32, value)
            for variable, value in SERVICES[name]["environment"].items()
            if variable.startswith("DERMTRIAGE_") and value is not None
        }
        Settings(**given).require("database_url", "redis_url", "store_url")


def test_only_the_api_gets_the_secret_key() -> None:
    holders = {n for n in OURS if "DERMTRIAGE_SECRET_KEY" in SERVICES[n]["environment"]}
    assert holders == {"api"}


def test_no_secret_has_a_default() -> None:
    used = re.findall(r"\$\{(\w+)(.*?)\}", TEXT)
    assert {name for name, rest in used if rest.startswith(":?")} == SECRETS
    assert {name for name, rest in used if not rest.startswith(":?")}.isdisjoint(SECRETS)


def test_the_example_asks_for_the_secrets_and_sets_none() -> None:
    example = (ROOT / ".env.example").read_text()
    variables = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert {name for name, value in variables.items() if not value} == SECRETS
    settings = {f"DERMTRIAGE_{name.upper()}" for name in Settings.model_fields}
    used = set(re.findall(r"\$\{(\w+)", TEXT)) | settings
    assert set(variables) <= used | {"COMPOSE_PROFILES"}
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_images_have_this_version_or_a_pinned_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {SERVICES[name]["image"].partition(":")[2] for name in OURS} == {version}
    assert all(SERVICES[name]["pull_policy"] == "build" for name in OURS)
    # A major version of PostgreSQL does not read the data of another: 18 is the one in the tests.
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert re.fullmatch(r"redis:\d+(\.\d+)*", SERVICES["redis"]["image"])
    for name in OURS:
        assert (ROOT / SERVICES[name]["build"]["dockerfile"]).is_file()


def test_data_is_kept_in_named_volumes() -> None:
    # From version 18 on the image keeps a cluster a major version below this folder.
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    folder = SERVICES["api"]["environment"]["DERMTRIAGE_STORE_URL"].removeprefix("file://")
    for name in ("migrate", "api", "worker", "worker-gpu", "upkeep"):
        assert SERVICES[name]["volumes"] == [f"images:{folder}"]
    # Pinned, because data outside of a named volume is lost with its container.
    assert set(COMPOSE["volumes"]) == {"images", "postgres", "redis"}


def test_the_gpu_worker_reserves_a_gpu_and_uses_no_other_device() -> None:
    gpu = SERVICES["worker-gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert gpu["environment"]["DERMTRIAGE_DEVICE"] == "cuda"
    assert SERVICES["worker"]["environment"]["DERMTRIAGE_DEVICE"] is None
