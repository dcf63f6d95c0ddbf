"""The walls between the packages stand, and each of them stops what it is there to stop."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import grimp
import pytest
from grimp import ImportGraph
from importlinter import api
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.domain.contract import Contract

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
KINDS = {"forbidden": ForbiddenContract, "layers": LayersContract}


@pytest.fixture(scope="module")
def contracts() -> list[Contract]:
    options = api.read_configuration(str(PYPROJECT))
    return [
        KINDS[contract["type"]](contract["name"], options["session_options"], contract)
        for contract in options["contracts_options"]
    ]


@pytest.fixture(scope="module")
def real_graph() -> ImportGraph:
    options = api.read_configuration(str(PYPROJECT))["session_options"]
    return grimp.build_graph(
        *options["root_packages"], include_external_packages=True, cache_dir=None
    )


@pytest.fixture
def graph(real_graph: ImportGraph) -> Iterator[ImportGraph]:
    """A copy, to plant in."""
    return deepcopy(real_graph)


def broken(contracts: list[Contract], graph: ImportGraph) -> list[str]:
    return [
        contract.name
        for contract in contracts
        if not contract.check(graph=deepcopy(graph), verbose=False).kept
    ]


def test_all_walls_stand(contracts: list[Contract], graph: ImportGraph) -> None:
    assert broken(contracts, graph) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        # 1: the domain knows no service, no web framework, no torch.
        ("dermtriage.intake", "dermtriage_api.app"),
        ("dermtriage.recovery", "dermtriage_worker.scoring"),
        ("dermtriage.db", "dermtriage_cli.migration"),
        ("dermtriage.intake", "fastapi"),
        ("dermtriage.errors", "starlette"),
        ("dermtriage.imaging", "torch"),
        ("dermtriage.imaging", "torchvision"),
        # 2: the API knows the domain alone.
        ("dermtriage_api.app", "dermtriage_worker.upkeep"),
        ("dermtriage_api.app", "dermtriage_worker.ensemble.manifest"),
        ("dermtriage_api.services", "dermtriage_cli.stack"),
        ("dermtriage_api.routes.images", "torch"),
        # 3: the worker knows neither API nor CLI.
        ("dermtriage_worker.scoring", "dermtriage_api.app"),
        ("dermtriage_worker.upkeep", "dermtriage_cli.stack"),
        # 4: the floors of the domain, from the lowest upwards, and neighbours.
        ("dermtriage.errors", "dermtriage.settings"),
        ("dermtriage.settings", "dermtriage.triage"),
        ("dermtriage.states", "dermtriage.triage"),
        ("dermtriage.triage", "dermtriage.db"),
        ("dermtriage.db", "dermtriage.models.cases"),
        ("dermtriage.models.cases", "dermtriage.audit"),
        ("dermtriage.storage", "dermtriage.broker"),
        ("dermtriage.accounts", "dermtriage.claims"),
        ("dermtriage.claims", "dermtriage.assessments"),
        ("dermtriage.assessments", "dermtriage.intake"),
        ("dermtriage.storage", "dermtriage.imaging"),
        ("dermtriage.broker", "dermtriage.accounts"),
        ("dermtriage.intake", "dermtriage.reviews"),
        ("dermtriage.reviews", "dermtriage.recovery"),
        # 5: the ensemble stands alone, by no detour either.
        ("dermtriage_worker.ensemble.ensemble", "sqlalchemy"),
        ("dermtriage_worker.ensemble.members", "celery"),
        ("dermtriage_worker.ensemble.manifest", "dermtriage.db"),
        ("dermtriage_worker.ensemble.manifest", "dermtriage.claims"),
        ("dermtriage_worker.ensemble.ensemble", "dermtriage.broker"),
        # 6: nothing knows the CLI.
        ("dermtriage.errors", "dermtriage_cli"),
        ("dermtriage_api.app", "dermtriage_cli"),
        ("dermtriage_worker.ensemble.ensemble", "dermtriage_cli"),
    ],
)
def test_a_planted_import_breaks_a_wall(
    contracts: list[Contract], graph: ImportGraph, importer: str, imported: str
) -> None:
    assert importer in graph.modules, "the planted import must start from a real module"
    graph.add_import(importer=importer, imported=imported)
    assert broken(contracts, graph)


def test_a_new_module_of_the_domain_needs_a_floor(
    contracts: list[Contract], graph: ImportGraph
) -> None:
    graph.add_module("dermtriage.stray")
    assert broken(contracts, graph) == ["The floors of the domain"]
