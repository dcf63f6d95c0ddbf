"""Commands and queries in the Kubernetes manifests work: probes, scaling, migration."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.architecture.kubernetes import kustomize
from tests.architecture.kubernetes.kustomize import Manifest, containers
from tests.conftest import Servers

from dermtriage.core.enums import RunState
from dermtriage.core.ids import new_id
from dermtriage.core.settings import ROOT, Settings
from dermtriage.models import RescoreChunk, RescoreRun
from dermtriage.releases.queries import active_release
from dermtriage.scoring import workers
from dermtriage_worker.upkeep.watchdog import ALIVE

BASE = ROOT / "deploy" / "kubernetes" / "base"
BUILT = {(m["kind"], m["metadata"]["name"]): m for m in kustomize.build(BASE)}
VARIABLES = kustomize.variables(BASE / "settings.env")


def query(name: str) -> str:
    (trigger,) = BUILT["ScaledObject", name]["spec"]["triggers"]
    return str(trigger["metadata"]["query"])


def container(process: str, name: str) -> Manifest:
    (found,) = (c for c in containers(BUILT["Deployment", process]) if c["name"] == name)
    return found


def as_in_a_pod(database_url: str) -> dict[str, str]:
    """Return the variables of a pod: the ConfigMap's, and the Secret's about a database."""
    parts = urlsplit(database_url)
    return VARIABLES | {
        "PGHOST": parse_qs(parts.query)["host"][0],
        "PGUSER": str(parts.username),
        "PGDATABASE": parts.path.removeprefix("/"),
        "PGSSLMODE": "disable",
    }


def status(command: list[str], **environment: str) -> int:
    """Run a manifest's command as this environment has it, and return its exit status."""
    program, *arguments = command
    here = Path(sys.executable)
    programs = {"python": here, "dermtriage": here.with_name("dermtriage")}
    process = subprocess.run(
        [programs[program], *arguments],
        env=os.environ | environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return process.returncode


@pytest.fixture
def empty_database(servers: Servers) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    servers.sql(f"CREATE DATABASE {name}")
    yield servers.database_url.replace("/dermtriage?", f"/{name}?")
    servers.sql(f"DROP DATABASE {name} WITH (FORCE)")


def count(settings: Settings, name: str) -> int:
    """Ask as KEDA does: the one number of the one row."""
    with psycopg.connect(settings.database_url.replace("+psycopg", "")) as connection:
        ((found,),) = connection.execute(query(name).encode()).fetchall()
    assert isinstance(found, int)
    return found


def test_the_scaling_query_of_workers_counts_pending_images(
    settings: Settings, sessions: sessionmaker[Session]
) -> None:
    assert count(settings, "worker") == 0
    with sessions.begin() as session:
        clinic_id = factories.clinic(session)
        for _ in range(2):
            factories.receive(session, clinic_id)
    assert count(settings, "worker") == 2


@pytest.mark.parametrize(
    ("state", "open_chunks"),
    [
        (RunState.PLANNED, 2),
        (RunState.RUNNING, 2),
        (RunState.PAUSED, 0),
        (RunState.CANCELLED, 0),
        (RunState.FINISHED, 0),
        (RunState.FAILED, 0),
    ],
)
def test_the_scaling_query_of_bulk_workers_counts_chunks_that_may_be_scored(
    settings: Settings, sessions: sessionmaker[Session], state: RunState, open_chunks: int
) -> None:
    assert count(settings, "worker-bulk") == 0
    now = datetime.now(UTC)
    ended = state in {RunState.CANCELLED, RunState.FINISHED, RunState.FAILED}
    end = {"ended_at": now, "report": {}} if ended else {}
    with sessions.begin() as session:
        run = RescoreRun(
            release_id=active_release(session).id,
            state=state,
            scope={},
            actor="a test",
            images=30,
            **end,
        )
        session.add(run)
        session.flush()
        for number in range(3):
            image_id = new_id()
            session.add(
                RescoreChunk(
                    run_id=run.id,
                    number=number,
                    first_image_id=image_id,
                    last_image_id=image_id,
                    images=10,
                    done_at=now if number == 0 else None,
                )
            )
    assert count(settings, "worker-bulk") == open_chunks


def test_processes_wait_until_the_database_is_migrated(empty_database: str) -> None:
    environment = as_in_a_pod(empty_database)
    waits = [container(process, "wait-for-migration") for process in ("upkeep", "worker")]
    assert waits[0]["command"] == waits[1]["command"]
    assert status(waits[0]["command"], **environment) != 0
    (migrate,) = containers(BUILT["Job", "migrate"])
    assert status(migrate["command"], **environment) == 0
    assert status(waits[0]["command"], **environment) == 0


def test_a_worker_is_ready_while_it_has_a_recent_heartbeat(
    settings: Settings, sessions: sessionmaker[Session]
) -> None:
    probe = container("worker", "worker")["readinessProbe"]["exec"]["command"]
    environment = as_in_a_pod(settings.database_url)
    here = {"pid": 1, "slots": 2, "device": "cpu", "release": "tiny"}
    with sessions.begin() as session:
        workers.register_worker(session, hostname="another-host", **here)
    assert status(probe, **environment) != 0
    with sessions.begin() as session:
        workers.register_worker(session, hostname=socket.gethostname(), **here)
    assert status(probe, **environment) == 0


def test_upkeep_is_alive_while_its_watchdog_says_so(tmp_path: Path) -> None:
    probe = container("upkeep", "upkeep")["livenessProbe"]["exec"]["command"]
    environment = {"TMPDIR": str(tmp_path)}
    assert status(probe, **environment) != 0
    alive = tmp_path / ALIVE.name
    alive.touch()
    assert status(probe, **environment) == 0
    long_ago = time.time() - 60
    os.utime(alive, (long_ago, long_ago))
    assert status(probe, **environment) != 0


def test_upkeep_starts_a_module_that_exists() -> None:
    program, option, module = container("upkeep", "upkeep")["command"]
    assert (program, option) == ("python", "-m")
    assert find_spec(module) is not None
