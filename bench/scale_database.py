"""The cost of a rescored image in PostgreSQL, measured on an embedded server, for bench.scale.

Time is the CPU time of the one backend that does the work, so other processes on the machine do not
matter.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session, sessionmaker

from bench import archive
from dermtriage.core.clock import utcnow
from dermtriage.core.enums import CLASSES, Severity
from dermtriage.core.settings import Settings, get_settings
from dermtriage.database.engine import make_engine
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import chunk_leases, planning, recording
from dermtriage.rescoring.remaining_images import remaining_images
from dermtriage.rescoring.scope import OPEN
from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import ScoredImage
from dermtriage_cli.database.upgrade import upgrade_database
from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_worker.scoring.chunk_work import BATCHES_PER_WRITE

LEASE = 3600.0
SMALL = 0.01
"""A score and a disagreement at which no severity rises, as in most nights."""

_COLUMNS = (
    "release_id, image_id, p_severe, probabilities, disagreement, out_of_scope, members, quality,"
    " inputs, device"
)


@contextmanager
def database(folder: Path) -> Iterator[Engine]:
    """Run a migrated database with the shipped release below a folder."""
    postgres = EmbeddedPostgres(folder / "postgres")
    settings = get_settings().model_copy(update={"database_url": postgres.start()})
    try:
        upgrade_database(settings)
        engine = make_engine(settings)
        yield engine
        engine.dispose()
    finally:
        postgres.stop()


def measure(
    engine: Engine, settings: Settings, prediction: Mapping[str, Any], rows: int
) -> dict[str, float]:
    """Measure the cost of an image; see `bench.scale.Taken`.

    Parameters
    ----------
    engine
        Of a migrated database without cases, on this machine: ``/proc`` of its backend is read.
    prediction
        The fields of a prediction; each row gets similar figures of its own.
    rows
        How many assessments to write: a twentieth in the way of a worker, the others by COPY.
    """
    with engine.connect() as connection:
        sessions = sessionmaker(connection, expire_on_commit=False)
        with sessions.begin() as session:
            session.execute(text("SET SESSION statement_timeout = 0"))
            archive.fill(session, rows, severity=Severity.LOW, lane=3)
            release_id = active_release(session).id
        with _metered(connection) as planning:
            _plan(sessions, settings.rescore_chunk)
        with _metered(connection) as writing:
            start = time.thread_time()
            together = BATCHES_PER_WRITE * settings.scoring_batch
            recorded = _record(sessions, prediction, max(1, rows // 20), together)
            record_seconds = time.thread_time() - start
        with sessions() as session:
            left = session.scalars(
                text(
                    "SELECT id FROM images i WHERE NOT EXISTS"
                    " (SELECT FROM assessments a WHERE a.image_id = i.id) ORDER BY id"
                )
            ).all()
        with _metered(connection) as copying:
            _copy(connection, release_id, prediction, left, settings.rescore_chunk)
        with sessions() as session:
            size = session.scalar(text("SELECT pg_total_relation_size('assessments')")) or 0
    return {
        "row_bytes": size / rows,
        "wal_bytes": writing.wal_bytes / recorded,
        "write_seconds": writing.seconds / recorded,
        "record_seconds": record_seconds / recorded,
        "copy_wal_bytes": copying.wal_bytes / len(left),
        "copy_seconds": copying.seconds / len(left),
        "plan_seconds": planning.seconds / rows,
    }


@dataclass
class _Meter:
    seconds: float = 0.0
    wal_bytes: float = 0.0


@contextmanager
def _metered(connection: Connection) -> Iterator[_Meter]:
    # After a checkpoint the first change of each page logs the whole page, as at night.
    _query(connection, "CHECKPOINT")
    pid = _query(connection, "SELECT pg_backend_pid()")
    position = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
    meter = _Meter(-_cpu_seconds(pid), -float(_query(connection, position)))
    yield meter
    meter.seconds += _cpu_seconds(pid)
    meter.wal_bytes += float(_query(connection, position))


def _query(connection: Connection, statement: str) -> Any:
    with connection.begin():
        answer = connection.execute(text(statement))
        return answer.scalar() if answer.returns_rows else None


def _cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, as Linux counts them."""
    nanoseconds = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
    return int(nanoseconds) / 1e9


def _plan(sessions: sessionmaker[Session], chunk: int) -> None:
    with sessions.begin() as session:
        planning.plan_run(
            session,
            release=active_release(session),
            scope=OPEN,
            actor="bench",
            chunk_images=chunk,
        )


def _record(
    sessions: sessionmaker[Session], prediction: Mapping[str, Any], rows: int, batch: int
) -> int:
    """Write the scores of at least `rows` images batch by batch, as a worker does."""
    recorded = 0
    while recorded < rows:
        with sessions.begin() as session:
            chunk = chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=LEASE)
        assert chunk is not None
        while recorded < rows:
            with sessions() as session:
                work = remaining_images(session, chunk, min(batch, rows - recorded))
            if not work:
                break
            with sessions.begin() as session:
                results = [_result(one.lease, prediction) for one in work]
                recording.record(
                    session, chunk, results, [], device="cpu", now=utcnow(), recall_share=1.0
                )
            recorded += len(work)
        with sessions.begin() as session:
            chunk_leases.complete(session, chunk)
    return recorded


def _result(lease: Lease, prediction: Mapping[str, Any]) -> ScoredImage:
    return ScoredImage(
        lease=lease,
        p_severe=SMALL,
        probabilities=_varied(prediction["probabilities"]),
        disagreement=SMALL,
        out_of_scope=prediction["out_of_scope"],
        members=_varied(prediction["members"]),
        quality=_varied(prediction["quality"]),
        inputs=prediction["inputs"],
    )


def _varied(value: Any) -> Any:
    """Replace every figure by another with as many digits."""
    match value:
        case float():
            return value * random.uniform(0.5, 1.0)
        case dict():
            return {key: _varied(item) for key, item in value.items()}
        case list() | tuple():
            return [_varied(item) for item in value]
        case _:
            return value


def _copy(
    connection: Connection,
    release_id: int,
    prediction: Mapping[str, Any],
    image_ids: Sequence[UUID],
    chunk: int,
) -> None:
    """Write assessments by COPY through a staging table, one chunk per transaction."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE staged (LIKE assessments INCLUDING DEFAULTS)"
            " ON COMMIT DELETE ROWS"
        )
        for first in range(0, len(image_ids), chunk):
            with cursor.copy(f"COPY staged ({_COLUMNS}) FROM STDIN") as copy:
                for image_id in image_ids[first : first + chunk]:
                    probabilities = _varied(prediction["probabilities"])
                    copy.write_row(
                        (
                            release_id,
                            image_id,
                            SMALL,
                            [probabilities[name] for name in CLASSES],
                            SMALL,
                            prediction["out_of_scope"],
                            Jsonb(_varied(prediction["members"])),
                            Jsonb(_varied(prediction["quality"])),
                            Jsonb(prediction["inputs"]),
                            "cpu",
                        )
                    )
            cursor.execute("INSERT INTO assessments SELECT * FROM staged ON CONFLICT DO NOTHING")
            driver.commit()
