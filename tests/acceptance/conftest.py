"""The whole system as separate processes with short timeouts, for tests that kill parts of it."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.accounts.clinicians import add_clinician
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.enums import Scoring
from dermtriage.core.settings import Settings
from dermtriage.models import Assessment, Image
from dermtriage.operations import invariants
from dermtriage_cli.embedded.child_process import ChildProcess
from dermtriage_cli.embedded.redis import EmbeddedRedis

SHORT_TIMES = {
    "lease_seconds": 4,
    "heartbeat_seconds": 0.5,
    "recovery_seconds": 1,
    "ageing_seconds": 1,
    "outage_delay": 0.5,
    "redis_timeout": 1,
}
TIMEOUT = 90.0
"""Seconds after which a test stops waiting; far more than anything here takes."""

PASSWORD = "a password of the tests"


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds; fail, naming `what` was awaited, after `TIMEOUT`."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"timed out waiting for {what}")
        time.sleep(0.02)


@dataclass
class System:
    """The processes under test, their clients, and queries of their database."""

    settings: Settings
    sessions: sessionmaker[Session]
    redis: EmbeddedRedis
    folder: Path
    port: int
    key: str
    children: dict[str, ChildProcess] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, bearer: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {bearer or self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def clinician(self) -> httpx.Client:
        login = {"username": "reader", "password": PASSWORD}
        token = httpx.post(f"{self.url}/v1/sessions", json=login, timeout=30).json()["token"]
        return self.client(token)

    def start(self, name: str, *argv: str) -> ChildProcess:
        secrets = {"redis_url", "secret_key"}
        env = {f"DERMTRIAGE_{k.upper()}": str(v) for k, v in self.settings.model_dump().items()}
        env |= {
            f"DERMTRIAGE_{name.upper()}": getattr(self.settings, name).get_secret_value()
            for name in secrets
        }
        env["PATH"] = str(Path(sys.executable).parent)
        child = ChildProcess(
            [sys.executable, "-m", *argv], log=self.folder / f"{name}.log", env=env
        )
        self.children[name] = child
        return child

    def start_api(self) -> None:
        self.start(
            "api",
            *("uvicorn", "--factory", "dermtriage_api.app:create_app"),
            *("--port", str(self.port), "--log-level", "warning"),
            *("--http", "dermtriage_api.server.protocol:BoundedHttpProtocol", "--ws", "none"),
        )
        wait_for(self._ready, "the API")

    def start_worker(self, name: str = "worker") -> ChildProcess:
        return self.start(name, "dermtriage_worker.scoring")

    def start_upkeep(self) -> ChildProcess:
        return self.start("upkeep", "dermtriage_worker.upkeep")

    def count_live_workers(self) -> int:
        with self.sessions() as session:
            return session.execute(text("SELECT count(*) FROM workers")).scalar_one()

    def count_scored(self) -> int:
        with self.sessions() as session:
            statement = select(Image.id).where(Image.scoring == Scoring.SCORED)
            return len(session.scalars(statement).all())

    def assert_all_scored_once(self, image_ids: set[UUID]) -> None:
        """Wait until every image is scored; assert that each was scored and triaged once."""
        wait_for(lambda: self.count_scored() >= len(image_ids), f"{len(image_ids)} scores")
        with self.sessions.begin() as session:
            assessed = session.scalars(select(Assessment.image_id)).all()
            assert sorted(assessed) == sorted(image_ids)
            rescored = text(
                "SELECT case_id FROM triage_events WHERE kind = 'scored'"
                " GROUP BY case_id HAVING count(*) > 1"
            )
            assert session.execute(rescored).all() == []
            assert invariants.check_invariants(session) == {}

    def _ready(self) -> bool:
        if self.children["api"].poll() is not None:
            pytest.fail((self.folder / "api.log").read_text())
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def system(settings: Settings, sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[System]:
    """A system of which only PostgreSQL and a Redis of the test's own run yet."""
    redis = EmbeddedRedis(tmp_path / "redis")
    settings = settings.model_copy(
        update=SHORT_TIMES | {"redis_url": type(settings.redis_url)(redis.start())}
    )
    with sessions.begin() as session:
        _, key = add_clinic(
            session, name="Village", secret_key=settings.secret_key.get_secret_value()
        )
        add_clinician(session, username="reader", display_name="A Reader", password=PASSWORD)
    system = System(settings, sessions, redis, tmp_path, _free_port(), key)
    yield system
    for child in system.children.values():
        child.kill()
    redis.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
