"""The container images and their wheel: what they contain, and as which user they run."""

import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
DOCKERFILES = {name: ROOT / "services" / name / "Dockerfile" for name in ("api", "worker")}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

each = pytest.mark.parametrize("name", DOCKERFILES)


def instructions(name: str) -> list[str]:
    """Return the instructions of a Dockerfile, one a line, without comments."""
    text = re.sub(r"^#.*\n", "", DOCKERFILES[name].read_text(), flags=re.MULTILINE)
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]


def installs(name: str) -> list[str]:
    return [line for line in instructions(name) if "pip install" in line]


@each
def test_an_image_does_not_run_as_root(name: str) -> None:
    users = [line.split()[1] for line in instructions(name) if line.startswith("USER ")]
    # A number, by which Kubernetes can tell that it is not root; the manifests name the same one.
    assert users == ["10001:10001"]
    later = instructions(name)[instructions(name).index("USER 10001:10001") :]
    assert not [line for line in later if line.startswith(("RUN", "ADD"))]


@each
def test_an_image_is_built_in_two_stages_from_a_supported_python(name: str) -> None:
    bases = re.findall(r"^FROM (\S+)", "\n".join(instructions(name)), re.MULTILINE)
    assert len(bases) == 2
    # The last stage runs what the first has built, so both have the same Python.
    (base,) = set(bases)
    version = re.fullmatch(r"python:(3\.\d+)-slim", base)
    assert version
    assert version[1] in SpecifierSet(PYPROJECT["project"]["requires-python"])


@each
def test_an_image_installs_pinned_versions_and_keeps_no_cache(name: str) -> None:
    assert installs(name)
    for line in installs(name):
        assert "--constraint" in line
        assert "--no-cache-dir" in line


def test_the_api_image_bounds_heads_and_waiting_requests() -> None:
    (command,) = (line for line in instructions("api") if line.startswith("CMD "))
    assert '"--http", "dermtriage_api.server.protocol:BoundedHttpProtocol"' in command


def test_the_api_image_holds_no_torch() -> None:
    (line,) = installs("api")
    assert line.endswith('"$1[api]"')
    project = PYPROJECT["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["api"]]
    assert not [name for name in needed if re.match(r"torch|numpy|safetensors|dermtriage", name)]


def test_the_worker_image_holds_ensemble_and_releases() -> None:
    assert installs("worker")[-1].endswith('"$1[worker]"')
    assert "COPY releases/ /opt/dermtriage/releases/" in instructions("worker")


def test_the_api_image_holds_manifests_and_no_weights() -> None:
    trimmed = instructions("api").index("RUN find releases -type f ! -name manifest.json -delete")
    assert instructions("api")[trimmed - 1] == "COPY releases/ releases/"
    copied = [
        line for line in instructions("api")[trimmed:] if "releases" in line and "COPY" in line
    ]
    assert copied == ["COPY --from=wheel /src/releases /opt/dermtriage/releases"]


@each
def test_an_image_sets_the_folder_of_its_releases(name: str) -> None:
    assert "DERMTRIAGE_RELEASES_DIR=/opt/dermtriage/releases" in "\n".join(instructions(name))


def test_the_build_context_holds_only_what_the_images_copy() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    admitted = {rule[1:].rstrip("/") for rule in rules if rule.startswith("!")}
    copied = {
        source.split("/")[0]
        for name in DOCKERFILES
        for line in instructions(name)
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert admitted == copied | {"constraints.txt"}
    assert all((ROOT / path).exists() for path in admitted)


def test_the_wheel_carries_all_packages_with_types_and_the_migrations(tmp_path: Path) -> None:
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path))
    packed = set(zipfile.ZipFile(wheel).namelist())
    packages = [
        ROOT / folder
        for folder in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ]
    sources = {
        str(path.relative_to(package.parent))
        for package in packages
        for path in package.rglob("*.py")
    }
    typed = {f"{package.name}/py.typed" for package in packages}
    migrations = {
        f"dermtriage/_migrations/{path.relative_to(ROOT / 'migrations')}"
        for path in (ROOT / "migrations").rglob("*.py")
    }
    found = {path.parent for path in ROOT.glob("services/*/*/__init__.py")}
    assert set(packages) == {ROOT / "shared" / "dermtriage"} | {
        package for package in found if not (package.parent / "pyproject.toml").exists()
    }
    assert len(migrations) > 1
    assert sources | typed | migrations <= packed
