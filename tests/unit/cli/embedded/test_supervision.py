"""Services that die are started again, and end when told to."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded import supervision
from dermtriage_cli.embedded.supervision import Service, Supervisor


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.01)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    made: list[Service] = []

    def make(code: str) -> Service:
        argv = [sys.executable, "-u", "-c", code]
        made.append(Service("test", argv, tmp_path / "test.log", {"MARK": "it is passed"}))
        return made[-1]

    yield make
    for one in made:
        one.end(0)


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_service_that_ends_starts_again(
    service: Callable[[str], Service], tmp_path: Path
) -> None:
    one = service("import os; print(os.environ['MARK'])")
    supervisor = Supervisor([one])
    supervisor.start()
    until(lambda: one.deaths > 1)
    supervisor.stop()
    assert (tmp_path / "test.log").read_text().count("it is passed") >= 2


def test_one_that_keeps_dying_is_shown_with_its_last_words(
    service: Callable[[str], Service],
) -> None:
    one = service("raise SystemExit('out of luck')")
    supervisor = Supervisor([one])
    supervisor.start()
    until(lambda: one.deaths >= supervision.FATAL_DEATHS)
    supervisor.stop()
    with pytest.raises(ConfigurationError, match="out of luck"):
        supervisor.check()


def test_pauses_grow_and_a_long_life_is_forgiven(
    service: Callable[[str], Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = service("")
    now = [1000.0]
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(supervision.time, "monotonic", lambda: now[0])
    pauses = []
    for lived in (1.0, 1.0, 1.0, 100.0):
        one.tend()
        child = one.child
        assert child is not None
        child.wait()
        now[0] += lived
        one.tend()
        assert one.child is None
        pause = 0.0
        while one.child is None:
            now[0] += 0.125
            pause += 0.125
            one.tend()
        pauses.append(pause)
        one.end(0)
    assert pauses == [0.5, 1.0, 2.0, 0.5]


def test_one_that_does_not_listen_is_killed(
    service: Callable[[str], Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "GRACE", 0.2)
    deaf = service(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf'); time.sleep(600)"
    )
    supervisor = Supervisor([deaf])
    supervisor.start()
    until(lambda: "deaf" in (tmp_path / "test.log").read_text())
    child = deaf.child
    assert child is not None
    supervisor.stop()
    assert child.poll() == -9


def test_what_a_dead_service_started_does_not_live_on(
    service: Callable[[str], Service], tmp_path: Path
) -> None:
    grandchild = "import time; print('alive'); time.sleep(600)"
    one = service(
        "import os, subprocess, sys;"
        f"child = subprocess.Popen([sys.executable, '-u', '-c', {grandchild!r}]);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid));"
        "os._exit(1)"
    )
    one.tend()
    child = one.child
    assert child is not None
    child.wait()
    pid = int((tmp_path / "pid").read_text())
    one.tend()
    until(lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        # A zombie that nobody waits for has ended too.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
