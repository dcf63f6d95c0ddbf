"""Services that run a few lines of Python."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dermtriage_cli.embedded.service import Service

MakeService = Callable[..., Service]


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    """Make services that write to ``test.log`` and restart after short pauses."""
    made: list[Service] = []

    def make(code: str, **options: Any) -> Service:
        argv = [sys.executable, "-u", "-c", code]
        env = {"MARK": "it is passed"}
        log = tmp_path / "test.log"
        made.append(Service("test", argv, log, env, **{"first_pause": 0.01} | options))
        return made[-1]

    yield make
    for service in made:
        service.stop(0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
