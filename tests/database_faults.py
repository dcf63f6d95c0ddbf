"""Database faults that hit one worker, at a chosen statement."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session, sessionmaker

from dermtriage_worker.scoring.runtime import Runtime

READ_PENDING = "SELECT EXISTS"
"""How a worker looks for uploads: once before every batch of a run, if there are none."""

RECORD = "INSERT INTO assessments"
"""How a worker writes scores."""


def before_statement(runtime: Runtime, start: str, act: Callable[[int, Connection], None]) -> None:
    """Call `act` before each statement of a worker that begins with `start`.

    Parameters
    ----------
    act
        Gets how many such statements there were before, and the connection; it may raise.
    """
    count = 0

    def run(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal count
        if statement.startswith(start):
            count += 1
            act(count - 1, connection)

    event.listen(runtime.sessions.kw["bind"], "before_cursor_execute", run)


def kill(sessions: sessionmaker[Session], connection: Connection) -> None:
    """Have the server end a connection, as it does when it restarts."""
    pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
    with sessions.begin() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
