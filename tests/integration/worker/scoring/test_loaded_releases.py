"""Which ensemble a scoring process holds, and who loads it."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.releases.queries import find_release
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.runtime import Runtime


def test_a_scoring_thread_loads_no_release_itself(
    start: Callable[..., Runtime],
    sessions: sessionmaker[Session],
    second: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it would free of the release before would leave holes in its memory."""
    runtime = start()
    with sessions() as session:
        other = find_release(session, second)
    loaders: list[threading.Thread] = []
    load = Ensemble.load

    def spy(folder: Path, device: str) -> Ensemble:
        loaders.append(threading.current_thread())
        return load(folder, device)

    monkeypatch.setattr(Ensemble, "load", spy)
    assert runtime.ensembles.get(other).manifest.name == second
    (loader,) = loaders
    assert loader is not threading.current_thread()
    assert not loader.is_alive()
