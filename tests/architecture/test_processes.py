"""What each process imports: API, upkeep and most commands run without torch."""

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from uuid import uuid4

import psycopg
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.conftest import RELEASE, Servers

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision"}

DATABASE = {"sqlalchemy", "alembic", "psycopg"}
QUEUE = {"celery", "kombu", "redis"}

# Makes some packages look as if they were not installed, and records which of them are imported.
PRELUDE = """
import json, sys
absent, asked = set(json.loads(sys.argv[1])), set()

class Without:
    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in absent:
            asked.add(root)
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""

SETTINGS = """
from dermtriage.core.settings import Settings
settings = Settings(
    database_url="postgresql+psycopg://nobody@localhost/nothing",
    redis_url="redis://localhost:1/0",
    store_url="file:///nowhere",
    secret_key="a secret of the tests, long enough",
)
"""

# What a message needs on its way, loaded as late as when the first one is sent.
TRANSPORT = """
from dermtriage.messaging.celery_app import make_celery
make_celery(settings).connection().transport
"""


def absent_with(*extras: str) -> set[str]:
    """Return the packages of this environment that an installation with `extras` lacks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][each] for each in extras)]
    waiting = [(text, "") for texts in lists for text in texts]
    seen = set()
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras} - {e for n, e in seen if n == name}:
            seen.add((name, wanted))
            waiting += [(needed, wanted) for needed in metadata.requires(name) or []]
    present = {name for name, _ in seen} | {"dermtriage"}
    return {
        package
        for package, owners in metadata.packages_distributions().items()
        if present.isdisjoint(map(canonicalize_name, owners))
    }


IN_NO_API_IMAGE = absent_with("api")


def asked_for(code: str, absent: set[str], *arguments: str) -> set[str]:
    """Run code in a process of its own, without some packages; return which of them it wanted."""
    script = f"{PRELUDE}{code}\nprint(json.dumps(sorted(asked)))"
    process = subprocess.run(
        [sys.executable, "-c", script, json.dumps(sorted(absent)), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return set(json.loads(process.stdout.splitlines()[-1]))


def test_an_import_of_an_absent_package_is_recorded() -> None:
    code = "try:\n import torch.nn\nexcept ImportError:\n pass"
    assert asked_for(code, IN_NO_API_IMAGE) == {"torch"}


def test_the_packages_that_an_installation_lacks_are_listed() -> None:
    assert absent_with("api") >= HEAVY | {"scipy", "safetensors", "pytest"}
    assert absent_with("api").isdisjoint({"fastapi", "sqlalchemy", "kombu", "vine"})
    assert absent_with("worker").isdisjoint(HEAVY | {"numpy", "sympy"})
    assert "fastapi" in absent_with("worker")


def test_the_api_runs_without_torch() -> None:
    code = f"""{SETTINGS}{TRANSPORT}
from dermtriage_api.app import create_app
create_app(settings).openapi()
"""
    assert not asked_for(code, IN_NO_API_IMAGE) & HEAVY


def test_upkeep_runs_without_torch() -> None:
    code = f"""{SETTINGS}{TRANSPORT}
from dermtriage_worker.upkeep.duties import Duties
from dermtriage_worker.upkeep.process import schedule
schedule(Duties(settings), settings)
"""
    assert not asked_for(code, IN_NO_API_IMAGE) & HEAVY


def test_the_worker_runs_with_the_packages_of_its_image() -> None:
    code = f"{SETTINGS}{TRANSPORT}\nimport dermtriage_worker.scoring.celery_app"
    assert "fastapi" not in asked_for(code, absent_with("worker"))


def test_the_demonstration_runs_without_development_tools() -> None:
    code = f"""{SETTINGS}{TRANSPORT}
import dermtriage_cli.demo.run
import dermtriage_cli.embedded.stack
"""
    asked_for(code, absent_with("api", "worker", "embedded"))


def test_the_help_of_commands_needs_no_torch() -> None:
    code = """
from dermtriage_cli.main import app
for command in sys.argv[2:]:
    sys.argv[1:] = [*command.split(), "--help"]
    try:
        app()
    except SystemExit as end:
        assert not end.code, command
"""
    # One of each group that a person uses without an ensemble.
    commands = ["", "worklist", "submit", "clinic add", "clinician add", "db upgrade", "doctor"]
    assert not asked_for(code, IN_NO_API_IMAGE, *commands) & HEAVY


def test_the_ensemble_imports_without_database_and_queue() -> None:
    code = """
import pkgutil
from importlib import import_module
import dermtriage_worker.ensemble as package
names = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
assert len(names) > 5, names
for name in names:
    import_module(name)
"""
    assert asked_for(code, DATABASE | QUEUE | {"fastapi", "dermtriage_api"}) == set()


def test_the_api_image_migrates_with_only_the_manifests_of_releases(
    servers: Servers, tmp_path: Path
) -> None:
    manifest = tmp_path / "releases" / RELEASE / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes((servers.releases / RELEASE / "manifest.json").read_bytes())
    name = f"test_{uuid4().hex}"
    servers.sql(f"CREATE DATABASE {name}")
    url = servers.database_url.replace("/dermtriage?", f"/{name}?")
    code = """
from pathlib import Path
from dermtriage.core.settings import Settings
from dermtriage_cli.database.upgrade import upgrade_database
url, releases, release = sys.argv[2:]
upgrade_database(
    Settings(database_url=url, releases_dir=Path(releases), default_release=release)
)
"""
    try:
        asked_for(code, IN_NO_API_IMAGE, url, str(tmp_path / "releases"), RELEASE)
        with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
            rows = connection.execute("SELECT name, mode FROM releases").fetchall()
    finally:
        servers.sql(f"DROP DATABASE {name} WITH (FORCE)")
    assert rows == [(RELEASE, "active")]
