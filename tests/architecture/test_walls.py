"""The import contracts hold, and each detects an import that it forbids."""

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
    """A copy of the imports, to which forbidden ones can be added."""
    return deepcopy(real_graph)


def broken(contracts: list[Contract], graph: ImportGraph) -> list[str]:
    return [
        contract.name
        for contract in contracts
        if not contract.check(graph=deepcopy(graph), verbose=False).kept
    ]


def test_all_contracts_hold(contracts: list[Contract], graph: ImportGraph) -> None:
    assert broken(contracts, graph) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        # 1: the domain imports no service, no web framework, no torch.
        ("dermtriage.intake.service", "dermtriage_api.app"),
        ("dermtriage.operations.recovery", "dermtriage_worker.scoring.upload_loop"),
        ("dermtriage.database.engine", "dermtriage_cli.database.upgrade"),
        ("dermtriage.intake.service", "fastapi"),
        ("dermtriage.core.errors", "starlette"),
        ("dermtriage.imaging.decoding", "torch"),
        ("dermtriage.imaging.decoding", "torchvision"),
        # 2: the API imports the domain only, and no torch.
        ("dermtriage_api.app", "dermtriage_worker.upkeep.process"),
        ("dermtriage_api.app", "dermtriage_worker.ensemble.manifest"),
        ("dermtriage_api.services", "dermtriage_cli.embedded.stack"),
        ("dermtriage_api.routes.images", "torch"),
        # 3: the worker imports neither the API nor the command.
        ("dermtriage_worker.scoring.upload_loop", "dermtriage_api.app"),
        ("dermtriage_worker.upkeep.process", "dermtriage_cli.embedded.stack"),
        # 4: the ensemble imports no database and no queue, directly or through other modules.
        ("dermtriage_worker.ensemble.inference", "sqlalchemy"),
        ("dermtriage_worker.ensemble.networks.registry", "celery"),
        ("dermtriage_worker.ensemble.manifest", "dermtriage.database.engine"),
        ("dermtriage_worker.ensemble.manifest", "dermtriage.scoring.leases"),
        ("dermtriage_worker.ensemble.inference", "dermtriage.messaging.sender"),
        # 5: evaluation imports neither training nor database.
        ("dermtriage_worker.evaluation.measure", "dermtriage_worker.training.fit"),
        ("dermtriage_worker.evaluation.measure", "dermtriage.models.cases"),
        # 6: nothing but tests and scripts imports the command.
        ("dermtriage.core.errors", "dermtriage_cli"),
        ("dermtriage_api.app", "dermtriage_cli"),
        ("dermtriage_worker.ensemble.inference", "dermtriage_cli"),
        # 7: the layers of the domain, from the lowest upwards, and rooms of one layer.
        ("dermtriage.core.settings", "dermtriage.triage.policy"),
        ("dermtriage.triage.lanes", "dermtriage.database.engine"),
        ("dermtriage.database.base", "dermtriage.models.cases"),
        ("dermtriage.models.cases", "dermtriage.accounts.audit"),
        ("dermtriage.models.cases", "dermtriage.imaging.decoding"),
        ("dermtriage.storage.image_store", "dermtriage.messaging.sender"),
        ("dermtriage.storage.pairing", "dermtriage.accounts.audit"),
        ("dermtriage.accounts.clinics", "dermtriage.releases.queries"),
        ("dermtriage.releases.queries", "dermtriage.cases.decisions"),
        ("dermtriage.cases.placement", "dermtriage.scoring.assessments"),
        ("dermtriage.scoring.assessments", "dermtriage.intake.service"),
        ("dermtriage.messaging.sender", "dermtriage.accounts.clinics"),
        ("dermtriage.intake.service", "dermtriage.review.decisions"),
        ("dermtriage.rescoring.planning", "dermtriage.retriage.batches"),
        ("dermtriage.review.decisions", "dermtriage.operations.recovery"),
    ],
)
def test_a_forbidden_import_breaks_a_contract(
    contracts: list[Contract], graph: ImportGraph, importer: str, imported: str
) -> None:
    assert importer in graph.modules, "the import must start from a module that exists"
    graph.add_import(importer=importer, imported=imported)
    assert broken(contracts, graph)


def test_a_new_module_of_the_domain_needs_a_layer(
    contracts: list[Contract], graph: ImportGraph
) -> None:
    graph.add_module("dermtriage.stray")
    assert broken(contracts, graph) == ["The layers of the domain"]
