"""The worklist's first page, and a claim of its next case, over a small and a large backlog.

Both are the same scan of the same index, so they should take as long at a million cases as at ten
thousand. The two backlogs are databases of one server, queried alternately, since the machine's
speed drifts. The time of a claim is that of `claims.claim_next` without the commit, which depends
on the disk; another clinician holds claims on the first cases of the list, as on a working day.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from dermtriage.core.clock import utcnow
from dermtriage.core.enums import Role
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine
from dermtriage.database.migrations import upgrade
from dermtriage.models import Clinic, Clinician
from dermtriage.review import claims, worklist
from dermtriage_cli.embedded.postgres import EmbeddedPostgres

SMALL, LARGE = 10_000, 1_000_000
PAGE = 50
REPEATS = 200
HELD = 50
"""Cases at the head of the list that another clinician has claimed."""

HOLDER, TAKER = UUID(int=1), UUID(int=2)
"""The two clinicians."""

LIFETIME = 3600.0
"""Seconds of a claim; longer than the whole measurement."""

_PIECE = 10_000
"""Rows per statement: one for a million rows would exceed the statement timeout."""

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


@dataclass(frozen=True)
class Measured:
    """Median seconds of a page and of a claim at both sizes, and the plan of the large page."""

    page_small: float
    page_large: float
    claim_small: float
    claim_large: float
    plan: str


def measure(
    small: int = SMALL, large: int = LARGE, on_step: Callable[[str], None] = lambda _: None
) -> Measured:
    """Fill two backlogs of these sizes, and measure pages and claims over both."""
    with TemporaryDirectory(prefix="dermtriage-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        engines: list[Engine] = []
        try:
            url = postgres.start()
            for size in (small, large):
                on_step(f"Inserting a backlog of {size:,} cases")
                engines.append(_backlog(url, size))
            on_step("Pages and claims")
            with Session(engines[0]) as few, Session(engines[1]) as many:
                pages = _alternately(few, many, _page)
                claims = _alternately(few, many, _claim)
                return Measured(*pages, *claims, _plan(many))
        finally:
            for engine in engines:
                engine.dispose()
            postgres.stop()


def _backlog(server: str, size: int) -> Engine:
    """Create a database with `size` cases, the first of which are claimed."""
    name = f"backlog_{size}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    settings = Settings(database_url=url)
    upgrade(settings)
    engine = make_engine(settings)
    with Session(engine) as session, session.begin():
        session.add(Clinic(name="Bench"))
        for clinician_id, name in ((HOLDER, "holder"), (TAKER, "taker")):
            session.add(
                Clinician(
                    id=clinician_id,
                    username=name,
                    display_name=name,
                    role=Role.CLINICIAN,
                    password_hash="",
                )
            )
    for first in range(1, size + 1, _PIECE):
        with engine.begin() as connection:
            connection.execute(_FILL, {"first": first, "last": min(first + _PIECE - 1, size)})
    with Session(engine) as session, session.begin():
        for _ in range(HELD):
            _claim(session, HOLDER)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        # The changed pages must not be written to the disk during the measurement.
        connection.execute(text("CHECKPOINT"))
    return engine


def _alternately(
    few: Session, many: Session, action: Callable[[Session], object]
) -> tuple[float, float]:
    """Return the median seconds of an action on both; each action is rolled back."""
    taken: dict[Session, list[float]] = {few: [], many: []}
    for number in range(REPEATS):
        # Each is first in half of the repetitions.
        for session in (few, many) if number % 2 else (many, few):
            # The pool tests a connection when it hands it out, which is not to be measured.
            session.connection()
            start = time.perf_counter()
            action(session)
            taken[session].append(time.perf_counter() - start)
            session.rollback()
    return median(taken[few]), median(taken[many])


def _page(session: Session) -> None:
    worklist.page(session, now=utcnow(), limit=PAGE)


def _claim(session: Session, clinician_id: UUID = TAKER) -> None:
    claim = claims.claim_next(session, clinician_id=clinician_id, now=utcnow(), lifetime=LIFETIME)
    assert claim is not None


def _plan(session: Session) -> str:
    statement = worklist.page_query(worklist.Filter(), utcnow(), None)
    query = statement.limit(PAGE + 1).compile(
        dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
    )
    rows = session.execute(text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}"))
    return "\n".join(rows.scalars())


def main() -> None:
    sizes = (int(size) for size in sys.argv[1:3])
    print(json.dumps(asdict(measure(*sizes, on_step=lambda step: print(step, file=sys.stderr)))))


if __name__ == "__main__":
    main()
