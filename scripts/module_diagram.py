"""Draw the module diagrams of docs/architecture.md from the imports.

``make architecture`` runs it. In the document a pair of comments marks the place of each diagram:
one of the packages, one of the rooms of the domain. A test compares the diagrams with the imports.
"""

import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import grimp
from grimp import ImportGraph

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
PYPROJECT = ROOT / "pyproject.toml"
DOMAIN = "dermtriage"
DIAGRAMS = ("rooms", "packages")


def read_graph() -> ImportGraph:
    """Return the imports between all modules of the import contracts' packages."""
    return grimp.build_graph(*_contracts()["root_packages"], cache_dir=None)


def layers() -> list[list[str]]:
    """Return the rooms of each layer of the domain, the highest layer first."""
    (found,) = (c["layers"] for c in _contracts()["contracts"] if c["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in found]


def rooms(graph: ImportGraph) -> str:
    """Return the diagram of the domain: its layers, and which room imports which.

    An arrow is left out where the rooms are connected by other arrows as well.
    """
    names = list(chain.from_iterable(layers()))
    edges = _reduced(_edges(graph, {name: f"{DOMAIN}.{name}" for name in names}))
    lines = ["flowchart TB"]
    for number, layer in enumerate(layers(), start=1):
        lines += [f'  subgraph layer{number}[" "]', *(f"    {room}" for room in layer), "  end"]
    lines += [f"  {importer} --> {imported}" for importer, imported in sorted(edges)]
    return "\n".join(lines)


def packages(graph: ImportGraph) -> str:
    """Return the diagram of the packages; each folder of the worker is a node of its own."""
    worker = "dermtriage_worker"
    names = {package: package for package in _contracts()["root_packages"] if package != worker}
    names |= {
        child.rpartition(".")[2]: child
        for child in graph.find_children(worker)
        if graph.find_children(child)
    }
    lines = ["flowchart TB", f"  subgraph {worker}"]
    lines += [f"    {name}" for name, module in sorted(names.items()) if worker in module]
    lines += ["  end"]
    lines += [f"  {importer} --> {imported}" for importer, imported in sorted(_edges(graph, names))]
    return "\n".join(lines)


def redrawn(text: str) -> str:
    """Return the document with the diagrams of the current imports."""
    graph = read_graph()
    for name, draw in zip(DIAGRAMS, (rooms, packages), strict=True):
        begin, end = f"<!-- diagram: {name} -->", f"<!-- end of diagram: {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n```mermaid\n{draw(graph)}\n```\n\n{end}{after}"
    return text


def _contracts() -> dict[str, Any]:
    contracts: dict[str, Any] = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]
    return contracts


def _edges(graph: ImportGraph, names: dict[str, str]) -> set[tuple[str, str]]:
    """Return the pairs of names where a module of the first imports one of the second."""
    modules = {name: {module, *graph.find_descendants(module)} for name, module in names.items()}
    owner = {module: name for name, owned in modules.items() for module in owned}
    return {
        (importer, owner[imported])
        for importer, owned in modules.items()
        for module in owned
        for imported in graph.find_modules_directly_imported_by(module)
        if owner.get(imported, importer) != importer
    }


def _reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the transitive reduction of the edges, which have no cycles."""

    def reached(start: str) -> set[str]:
        direct = {imported for importer, imported in edges if importer == start}
        return direct.union(*map(reached, direct))

    return {
        (importer, imported)
        for importer, imported in edges
        if not any(
            imported in reached(other)
            for start, other in edges
            if start == importer and other != imported
        )
    }


if __name__ == "__main__":
    DOCUMENT.write_text(redrawn(DOCUMENT.read_text()))
    sys.stdout.write(f"Drew the diagrams of {DOCUMENT.relative_to(ROOT)}\n")
