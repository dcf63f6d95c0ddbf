"""A fencing token is issued once, also when the database crashes right after."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text
from tests import factories
from tests.conftest import RELEASE, Servers, install

from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.database.migrations import upgrade
from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_worker.scoring.runtime import Runtime


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    # pytest's own folders cannot be entered by the server's account where the tests run as root.
    with TemporaryDirectory(prefix="dermtriage-tests-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        yield server
        server.stop()


def test_a_token_is_not_issued_again_after_a_crash(
    own_postgres: EmbeddedPostgres, servers: Servers
) -> None:
    settings = Settings(database_url=own_postgres.start())
    upgrade(settings)
    engine = make_engine(settings)
    sessions = make_sessions(engine)
    with sessions.begin() as session:
        install(session, servers.releases / RELEASE)
        clinic_id = factories.clinic(session)
        (image_id,) = factories.receive(session, clinic_id).pending_image_ids

    def issue() -> int:
        with sessions.begin() as session:
            lease = factories.lease_image(session, image_id, lease_seconds=-1, max_attempts=999)
        return lease.token

    # PostgreSQL logs a sequence 32 values ahead: this many are sure to cross such a step.
    issued = [issue() for _ in range(40)]
    own_postgres.kill()
    engine.dispose()
    own_postgres.start()
    assert issue() > max(issued)
    engine.dispose()


def test_a_worker_commits_durably(start: Callable[..., Runtime]) -> None:
    with start().sessions() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "on"
