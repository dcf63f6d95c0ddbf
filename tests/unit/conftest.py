"""A whole release of tiny networks, and which unit tests are slow."""

from pathlib import Path

import pytest

from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.tiny import build_tiny_release

HERE = Path(__file__).parent
SLOW = {
    HERE / "worker" / "training": "fits networks",
    HERE / "worker" / "evaluation": "scores whole sets of photographs, and draws plots",
    HERE / "cli" / "commands" / "test_evaluate.py": "evaluates a release",
    HERE / "cli" / "commands" / "test_score.py": "draws photographs, and scores them",
    HERE / "cli" / "commands" / "test_submit.py": "draws photographs",
    HERE / "cli" / "demo" / "samples": "draws photographs",
    HERE / "cli" / "embedded" / "test_service.py": "starts processes",
    HERE / "cli" / "embedded" / "test_supervisor.py": "starts processes",
    HERE / "cli" / "offline_scoring": "draws photographs, and scores them",
    HERE / "worker" / "ensemble" / "test_shipped_release.py": "loads the shipped release",
    HERE / "worker" / "ensemble" / "test_shipped_ood.py": "loads the shipped release",
}
"""Folders and files that `make test-fast` leaves out, and why; tests on servers are, too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        places = {item.path, *item.path.parents}
        if HERE in places:
            for place in places & SLOW.keys():
                item.add_marker(pytest.mark.slow(reason=SLOW[place]))
            if "servers" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.slow(reason="starts PostgreSQL and Redis"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / "tiny"
    build_tiny_release(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Ensemble:
    return Ensemble.load(tiny_folder, "cpu")
