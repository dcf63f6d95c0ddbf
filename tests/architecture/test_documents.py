"""Documents about the code name only what exists, and their diagrams and indexes are complete."""

import importlib
import re
from pathlib import Path

import pytest
from scripts import module_diagram

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
STATUS = r"^Status: (accepted|superseded by \[\d+\]\(\S+\))"

documents = pytest.mark.parametrize(
    "document", ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/glossary.md"]
)


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return bool(module) and hasattr(importlib.import_module(module), attribute)
    return True


@documents
def test_modules_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"`(dermtriage(?:_\w+)?(?:\.\w+)+)`", text))
    assert [name for name in sorted(named) if not exists(name)] == []


@documents
def test_paths_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    tops = r"(?:shared|services|tests|migrations|deploy|docs|bench|scripts|\.github|\.ci)"
    named = set(re.findall(rf"`({tops}/[\w./-]+)`", text))
    links = set(re.findall(r"\]\(([^)#:]+)\)", text))
    here = (ROOT / document).parent
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    assert [link for link in sorted(links) if not (here / link).exists()] == []


def test_the_diagrams_show_the_imports() -> None:
    text = module_diagram.DOCUMENT.read_text()
    assert text == module_diagram.redrawn(text), "run `make architecture`"


def test_the_glossary_is_in_alphabetical_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    terms = re.findall(r"^\| ([\w()-]+(?: [\w()-]+)*) \|", text, re.MULTILINE)[1:]
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.lower)


def test_the_index_of_decisions_has_every_record_with_its_status() -> None:
    rows = []
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        text = path.read_text()
        number, title = re.findall(r"^# (\d+)\. (.+)$", text, re.MULTILINE)[0]
        assert path.name.startswith(number.zfill(4))
        statuses = re.findall(STATUS, text, re.MULTILINE)
        assert len(statuses) == 1, f"{path.name} needs one line `Status: ...`"
        rows.append(f"| {number} | [{title}]({path.name}) | {statuses[0]} |")
    index = (DECISIONS / "README.md").read_text()
    assert re.findall(r"^\| \d.*$", index, re.MULTILINE) == rows
