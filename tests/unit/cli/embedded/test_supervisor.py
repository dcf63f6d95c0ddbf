"""Services are kept running, and end when the supervisor stops."""

from pathlib import Path

import pytest
from tests.unit.cli.embedded.conftest import MakeService, wait_until

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.service import FATAL_DEATHS
from dermtriage_cli.embedded.supervisor import Supervisor


def test_a_service_that_ends_starts_again(make_service: MakeService, tmp_path: Path) -> None:
    service = make_service("import os; print(os.environ['MARK'])")
    supervisor = Supervisor([service])
    supervisor.start()
    wait_until(lambda: service.deaths > 1)
    supervisor.stop()
    assert (tmp_path / "test.log").read_text().count("it is passed") >= 2


def test_a_service_that_keeps_dying_is_reported_with_the_end_of_its_log(
    make_service: MakeService,
) -> None:
    service = make_service("raise SystemExit('out of luck')")
    supervisor = Supervisor([service])
    supervisor.start()
    wait_until(lambda: service.deaths >= FATAL_DEATHS)
    supervisor.stop()
    with pytest.raises(ConfigurationError, match="out of luck"):
        supervisor.check()


def test_a_service_that_ignores_the_stop_signal_is_killed(
    make_service: MakeService, tmp_path: Path
) -> None:
    service = make_service(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready'); time.sleep(600)"
    )
    supervisor = Supervisor([service], grace=0.2)
    supervisor.start()
    wait_until(lambda: "ready" in (tmp_path / "test.log").read_text())
    child = service.child
    assert child is not None
    supervisor.stop()
    assert child.poll() == -9
