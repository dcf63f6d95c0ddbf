"""A service that dies, or whose source files change, starts again."""

import sys
from pathlib import Path

from tests.unit.cli.embedded.conftest import MakeService, wait_until

from dermtriage_cli.embedded.service import Service
from dermtriage_cli.embedded.source_watcher import SourceWatcher


def test_pauses_grow_and_a_long_life_resets_them(make_service: MakeService) -> None:
    now = 1000.0
    service = make_service("", first_pause=0.5, clock=lambda: now)
    pauses = []
    for lived in (1.0, 1.0, 1.0, 100.0):
        service.ensure_running()
        child = service.child
        assert child is not None
        child.wait()
        now += lived
        service.ensure_running()
        assert service.child is None
        pause = 0.0
        while service.child is None:
            now += 0.125
            pause += 0.125
            service.ensure_running()
        pauses.append(pause)
        service.stop(0)
    assert pauses == [0.5, 1.0, 2.0, 0.5]


def test_what_a_dead_service_started_does_not_live_on(
    make_service: MakeService, tmp_path: Path
) -> None:
    grandchild = "import time; print('alive'); time.sleep(600)"
    service = make_service(
        "import os, subprocess, sys;"
        f"child = subprocess.Popen([sys.executable, '-u', '-c', {grandchild!r}]);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid));"
        "os._exit(1)"
    )
    service.ensure_running()
    child = service.child
    assert child is not None
    child.wait()
    pid = int((tmp_path / "pid").read_text())
    service.ensure_running()
    wait_until(lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        # A zombie that nobody waits for has ended too.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_changed_source_file_restarts_the_service(tmp_path: Path) -> None:
    script = tmp_path / "package" / "script.py"
    script.parent.mkdir()
    script.write_text("import time; print('first'); time.sleep(600)")
    log = tmp_path / "test.log"
    sources = SourceWatcher([script.parent], interval=0)
    service = Service("test", [sys.executable, "-u", str(script)], log, {}, sources=sources)
    try:
        service.ensure_running()
        wait_until(lambda: "first" in log.read_text())
        first = service.child
        assert first is not None
        service.ensure_running()
        assert service.child is first
        script.write_text("import time; print('second'); time.sleep(600)")
        service.ensure_running()
        wait_until(lambda: "second" in log.read_text())
        assert first.poll() is not None
        assert service.deaths == 0
    finally:
        service.stop(0)
