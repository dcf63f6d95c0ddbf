"""Rules of the source that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dermtriage.intake.referral import CaseMetadata

ROOT = Path(__file__).parents[2]
MAX_LINES = 300

LOGGERS = {"logger", "log", "logging"}
LOG_CALLS = {"debug", "info", "warning", "error", "exception", "critical", "log"}

# Fields of a referral about a person, and names that a clinic or a person chose.
PRIVATE = (set(CaseMetadata.model_fields) - {"images", "priority", "replaces_case_id"}) | {
    "filename",
    "display_name",
    "password",
}


def modules() -> list[Path]:
    return sorted(path for part in ("shared", "services") for path in (ROOT / part).rglob("*.py"))


def parsed() -> Iterator[tuple[str, ast.Module]]:
    for path in modules():
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def imported(tree: ast.AST) -> set[str]:
    """Return the top packages that a module imports by absolute name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def unsafe_loads(tree: ast.AST) -> list[int]:
    """Return the lines that load a pickle: `torch.load` may only with ``weights_only=True``."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) == "torch.load"
        and not any(
            isinstance(call, ast.Call)
            and call.func is node
            and any(
                keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True"
                for keyword in call.keywords
            )
            for call in ast.walk(tree)
        )
    ]


def personal_logs(tree: ast.AST) -> list[int]:
    """Return the lines whose log call may contain personal data.

    A call must list its fields itself, and neither a field nor any part of a value may have a name
    in `PRIVATE`.
    """
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOG_CALLS
        and ast.unparse(node.func.value).rpartition(".")[2].strip("_") in LOGGERS
        and (PRIVATE & _words(node) or not _names_its_fields(node))
    ]


def _names_its_fields(call: ast.Call) -> bool:
    extras = [keyword.value for keyword in call.keywords if keyword.arg in {"extra", None}]
    return all(
        isinstance(extra, ast.Dict) and all(isinstance(key, ast.Constant) for key in extra.keys)
        for extra in extras
    )


def _words(call: ast.Call) -> set[str]:
    words = set()
    for node in ast.walk(call):
        if isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
    return words


def test_the_source_is_found() -> None:
    packages = {path.relative_to(ROOT).parts[-2] for path in modules()}
    assert {"dermtriage", "dermtriage_api", "dermtriage_worker", "dermtriage_cli"} <= packages


def test_modules_are_small() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()
    }
    assert {path: lines for path, lines in lengths.items() if lines >= MAX_LINES} == {}


def test_every_package_has_a_docstring() -> None:
    silent = [
        path
        for path, tree in parsed()
        if path.endswith("/__init__.py") and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_packages_are_imported_by_their_installed_names() -> None:
    folders = {"shared", "services", "tests", "bench"}
    assert [path for path, tree in parsed() if imported(tree) & folders] == []


def test_nothing_unpickles() -> None:
    pickles = {"pickle", "joblib", "dill", "marshal", "shelve", "cloudpickle"}
    assert [path for path, tree in parsed() if imported(tree) & pickles] == []
    assert [(path, lines) for path, tree in parsed() if (lines := unsafe_loads(tree))] == []


def test_only_training_reads_checkpoints() -> None:
    readers = [path for path, tree in parsed() if "torch.load" in ast.unparse(tree)]
    # Pinned, because a checkpoint can run code when it is loaded: a further reader needs a review.
    folder = "services/worker/dermtriage_worker/training"
    assert sorted(readers) == [f"{folder}/checkpoint.py", f"{folder}/pretrained.py"]


def test_logs_contain_no_personal_data() -> None:
    assert [(path, lines) for path, tree in parsed() if (lines := personal_logs(tree))] == []


@pytest.mark.parametrize(
    "code",
    [
        'logger.info("got", extra={"patient_id": 1})',
        'logger.info("got", extra={"case": metadata.sex})',
        'logger.warning("got", extra={"case": row["clinic_reference"]})',
        'logger.info("got %s", case.lesion_id)',
        'self._logger.error("got", extra={"site": anatom_site})',
        'logger.info("got", extra=metadata.model_dump())',
        'logger.info("got", extra={**row})',
        'logger.info("got", **fields)',
    ],
)
def test_a_log_of_personal_data_is_found(code: str) -> None:
    assert personal_logs(ast.parse(code)) == [1]


@pytest.mark.parametrize(
    "code",
    [
        'logger.info("got", extra={"case_id": case.id})',
        'logger.exception("failed", exc_info=not known)',
        'console.log("age_approx")',
    ],
)
def test_a_log_without_personal_data_passes(code: str) -> None:
    assert personal_logs(ast.parse(code)) == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("torch.load(path)", [1]),
        ("torch.load(path, weights_only=False)", [1]),
        ("read = torch.load", [1]),
        ("torch.load(path, weights_only=True)", []),
    ],
)
def test_an_unsafe_load_is_found(code: str, lines: list[int]) -> None:
    assert unsafe_loads(ast.parse(code)) == lines
