"""A whole release of tiny networks, for all tests without servers."""

from pathlib import Path

import pytest

from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.tiny import build_tiny_release


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / "tiny"
    build_tiny_release(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Ensemble:
    return Ensemble.load(tiny_folder, "cpu")
