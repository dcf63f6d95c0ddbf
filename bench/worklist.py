"""The worklist's first page over a small and a large backlog: the same index scan."""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from dermtriage import db, worklist
from dermtriage.db import utcnow
from dermtriage.settings import Settings
from dermtriage_cli.servers import EmbeddedPostgres

SMALL, LARGE = 10_000, 1_000_000
PAGE = 50
REPEATS = 200

_FILL = text("""
INSERT INTO cases (id, clinic_id, received_at, priority, history, state, severity, latest_severity,
                   lane, due_at, ages_at, triage_version, changed_at)
SELECT gen_random_uuid(), (SELECT id FROM clinics LIMIT 1), at, 'routine', '{}',
       CASE WHEN n % 20 = 0 THEN 'decided' ELSE 'open' END, severity, severity,
       CASE severity WHEN 'severe' THEN 0 WHEN 'unscored' THEN 1 WHEN 'indeterminate' THEN 2
                     ELSE 3 END,
       at + interval '2 days', at + interval '5 days', 0, at
FROM (SELECT n, now() - n * interval '1 second' AS at,
             (ARRAY['severe', 'unscored', 'indeterminate', 'low', 'low', 'low'])[1 + n % 6]
                 AS severity
      FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n) rows
""")


def measure() -> tuple[float, float, str]:
    """Return the median seconds of a page at both sizes, and the large one's plan."""
    with TemporaryDirectory(prefix="dermtriage-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        settings = Settings(database_url=postgres.start())
        try:
            db.upgrade(settings)
            engine = db.make_engine(settings)
            with engine.begin() as connection:
                connection.execute(
                    text("INSERT INTO clinics (id, name) VALUES (gen_random_uuid(), 'Bench')")
                )
            times, filled = [], 0
            for size in (SMALL, LARGE):
                for last in range(filled + SMALL, size + 1, SMALL):
                    with engine.begin() as connection:
                        connection.execute(_FILL, {"first": last - SMALL + 1, "last": last})
                filled = size
                with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text("VACUUM ANALYZE cases"))
                with Session(engine) as session:
                    times.append(_page_time(session))
            with Session(engine) as session:
                plan = _plan(session)
            engine.dispose()
        finally:
            postgres.stop()
    return times[0], times[1], plan


def _page_time(session: Session) -> float:
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        worklist.page(session, now=utcnow(), limit=PAGE)
        taken.append(time.perf_counter() - start)
        session.rollback()
    return median(taken)


def _plan(session: Session) -> str:
    statement = worklist.page_statement(worklist.Filter(), utcnow(), None)
    query = statement.limit(PAGE + 1).compile(
        dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
    )
    rows = session.execute(text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}"))
    return "\n".join(rows.scalars())
