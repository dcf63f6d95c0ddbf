"""Memory of a rescore run: of the process that plans it, and of the worker that scores it.

A run over a hundred times as many images should not need more memory. Each size has its own
database, store and processes: the embedded stack with a tiny ensemble, cases inserted by one SQL
statement, and a real rendition for every image, so that all of them are decoded and scored. The run
is planned by a separate process without torch, as upkeep does. Memory is the resident set size
including children.

``python -m bench.memory [SMALL [LARGE]]`` prints the figures as JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from bench import archive
from dermtriage.core.enums import RunState, Severity
from dermtriage.core.settings import Settings, get_settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.imaging.rendition import make_rendition
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_rescores
from dermtriage.models import Image, Worker
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import planning, runs
from dermtriage.rescoring.scope import OPEN
from dermtriage_cli.embedded.stack import Stack

SMALL, LARGE = 1_000, 100_000
RELEASE = "tiny"
PHOTOGRAPHS = 16
"""Different renditions, stored as hard links: file systems limit the number of links per file."""

STEP = 10.0
"""Seconds between two reports of progress."""

_PLAN = "plan"


@dataclass(frozen=True)
class Memory:
    """Resident memory of one run, in MiB.

    Attributes
    ----------
    planner_before, planner
        Of the planning process: before it plans, and its peak.
    worker_before, worker, worker_after
        Of the worker: once it has loaded the ensemble, its peak, and at the end of the run.
    seconds
        From the first message to the end of the run.
    """

    images: int
    planner_before: float
    planner: float
    worker_before: float
    worker: float
    worker_after: float
    seconds: float


@dataclass(frozen=True)
class Measured:
    """Both runs, and the ratios of their peak memory, large to small."""

    small: Memory
    large: Memory
    planner_ratio: float
    worker_ratio: float


def measure(
    folder: Path,
    small: int = SMALL,
    large: int = LARGE,
    on_step: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Rescore `small` and `large` images, each in a system of its own below a folder."""
    # The planning process imports this module too, and must be as small as upkeep.
    from bench.photographs import draw  # noqa: PLC0415
    from dermtriage_worker.ensemble.tiny import build_tiny_release  # noqa: PLC0415

    build_tiny_release(folder / "releases" / RELEASE)
    renditions = []
    for path in draw(folder / "drawn", PHOTOGRAPHS):
        rendition = folder / f"{path.stem}.rendition"
        rendition.write_bytes(make_rendition(path.read_bytes()))
        renditions.append(rendition)
    with _environment(folder / "releases"):
        one, other = (_run(folder / str(n), n, renditions, on_step) for n in (small, large))
    return Measured(
        small=one,
        large=other,
        planner_ratio=other.planner / one.planner,
        worker_ratio=other.worker / one.worker,
    )


@contextmanager
def _environment(releases: Path) -> Iterator[None]:
    """Make this process and its children use the tiny release, and plan no nightly run."""
    variables = {
        "DERMTRIAGE_RELEASES_DIR": str(releases),
        "DERMTRIAGE_DEFAULT_RELEASE": RELEASE,
        "DERMTRIAGE_RESCORE_AT": "",
    }
    with patch.dict(os.environ, variables):
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


def _run(
    folder: Path, images: int, renditions: Sequence[Path], on_step: Callable[[str], None]
) -> Memory:
    with Stack(folder, on_step=on_step) as stack:
        engine = make_engine(stack.settings)
        sessions = make_sessions(engine)
        on_step(f"Inserting {images:,} images")
        _fill(sessions, folder / "store", images, renditions)
        on_step("Planning")
        planner_before, planner, run_id = _planned(stack.settings)
        with sessions() as session:
            worker = session.scalars(select(Worker.pid)).one()
        before = _memory(worker, "VmRSS")
        start = time.perf_counter()
        send_rescores(make_celery(stack.settings), stack.settings.scoring_threads)
        _wait(sessions, run_id, images, on_step)
        elapsed = time.perf_counter() - start
        with sessions() as session:
            if session.scalars(select(Worker.pid)).one() != worker:
                raise RuntimeError(
                    "The worker restarted during the run: its peak memory is unknown."
                )
        peak, after = _memory(worker, "VmHWM"), _memory(worker, "VmRSS")
        engine.dispose()
    return Memory(images, planner_before, planner, before, peak, after, elapsed)


def _fill(
    sessions: sessionmaker[Session], store: Path, images: int, renditions: Sequence[Path]
) -> None:
    with sessions.begin() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        # The severity that the run's release gives them too, as in most nights: every image is
        # scored, and few events are written.
        archive.fill(session, images, severity=Severity.INDETERMINATE, lane=2)
        image_ids = session.scalars(select(Image.id)).all()
    for number, image_id in enumerate(image_ids):
        # The path at which the store looks for it.
        subfolder = store / "renditions" / image_id.hex[-2:]
        subfolder.mkdir(parents=True, exist_ok=True)
        (subfolder / str(image_id)).hardlink_to(renditions[number % len(renditions)])


def _planned(settings: Settings) -> tuple[float, float, UUID]:
    """Plan the run in a process of its own; return its memory before, its peak, and the run."""
    planner = subprocess.run(
        [sys.executable, "-m", "bench.memory", _PLAN],
        env=os.environ | {"DERMTRIAGE_DATABASE_URL": settings.database_url},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    before, peak, run_id = json.loads(planner.stdout)
    return before, peak, UUID(run_id)


def _plan() -> None:
    settings = get_settings()
    sessions = make_sessions(make_engine(settings))
    with sessions.begin() as session:
        release = active_release(session)
        before = _memory(os.getpid(), "VmRSS")
        run = planning.plan_run(
            session,
            release=release,
            scope=OPEN,
            actor="bench",
            chunk_images=settings.rescore_chunk,
        )
    print(json.dumps([before, _memory(os.getpid(), "VmHWM"), str(run.id)]))


def _wait(
    sessions: sessionmaker[Session], run_id: UUID, images: int, on_step: Callable[[str], None]
) -> None:
    """Wait for the end of the run, which must have scored every image."""
    next_report = 0.0
    while True:
        with sessions() as session:
            run = runs.find_run(session, run_id)
            progress = runs.progress(session, run)
        if run.ended_at is not None:
            break
        if run.state is RunState.PAUSED:
            raise RuntimeError(f"The run is paused: {run.reason}")
        if time.monotonic() > next_report:
            on_step(f"{progress.scored:,} of {images:,} images rescored")
            next_report = time.monotonic() + STEP
        time.sleep(0.1)
    if run.state is not RunState.FINISHED or progress.scored != images:
        raise RuntimeError(f"{progress.scored} of {images} images were scored: run {run.state}.")


def _memory(pid: int, what: str) -> float:
    """Return a figure of ``/proc/PID/status`` in MiB, summed over a process and its children."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(_memory(int(child), what) for child in children)


def main() -> None:
    if sys.argv[1:] == [_PLAN]:
        _plan()
        return
    sizes = (int(size) for size in sys.argv[1:3])
    with TemporaryDirectory(prefix="dermtriage-bench-") as folder:
        measured = measure(
            Path(folder), *sizes, on_step=lambda step: print(step, file=sys.stderr, flush=True)
        )
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
