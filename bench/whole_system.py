"""The whole system under a rush of uploads, idle but for one, and rescoring at night."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import mean, median

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from bench import forward, load, rescoring
from bench.cpu import Meter
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.settings import get_settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage_cli.embedded.stack import Stack

SENDERS = 32
LONE_UPLOADS = 20
DURING_A_RUN = 20
ROUNDS = 3
TWINS = ROUNDS + 1
LONE = LONE_UPLOADS + DURING_A_RUN + TWINS
"""Photographs that are sent alone: some of them have a twin loaded."""
NIGHT = 25.0
"""Seconds that a run takes at the forward limit, at least: in a shorter one, the time before its
first batch and after its last would weigh more than in a real night."""
REMAINING_A_SECOND = 1000
"""Images per second, more than any release scores: the poll must not sleep past the end."""
BATCH = get_settings().scoring_batch


@dataclass(frozen=True)
class Round:
    """How fast the system scored everything once.

    Attributes
    ----------
    cpu_seconds_per_image
        Of all our processes, PostgreSQL and Redis among them.
    limit
        The forward limit: the mean of right before and, once all was idle again, right after. The
        machine's speed drifts by the minute.
    """

    images_per_second: float
    cpu_seconds_per_image: float
    limit: forward.Limit

    @property
    def over_limit(self) -> float:
        """Share of the forward limit."""
        return self.images_per_second / self.limit.images_per_second

    @property
    def cpu_beside(self) -> float:
        """CPU seconds per image besides the ensemble."""
        return self.cpu_seconds_per_image - self.limit.cpu_seconds_per_image


@dataclass(frozen=True)
class Measured:
    """What one release reached.

    Attributes
    ----------
    uploads
        Rushes, each from its first request to its last assessment.
    mean_batch
        Images a device batch in the rushes.
    idle_latency
        Seconds from 202 to assessment with nothing else to do, median.
    rescoring
        Runs over everything.
    latency_in_run
        As `idle_latency` while a run goes on: median and 95th percentile.
    """

    uploads: list[Round]
    mean_batch: float
    idle_latency: float
    rescoring: list[Round]
    latency_in_run: tuple[float, float]


def measure(
    data_dir: Path,
    rush: Sequence[Path],
    lone: Sequence[Path],
    twins: Sequence[str],
    limit: Callable[[], forward.Limit],
    on_step: Callable[[str], None],
) -> Measured:
    """Start the embedded stack and measure it.

    Parameters
    ----------
    rush
        Photographs that are sent at once.
    lone
        Other photographs, sent one after the other: some when all is idle, the rest in a run.
    twins
        `TWINS` copies of the release under other names, to rescore everything with.
    limit
        Measures the forward limit.
    """
    with Stack(data_dir, on_step=on_step) as stack:
        engine = make_engine(stack.settings)
        sessions = make_sessions(engine)
        with sessions.begin() as session:
            secret = stack.settings.secret_key.get_secret_value()
            _, key = add_clinic(session, name="Bench", secret_key=secret)
        requests = [load.build(path, key) for path in lone]
        on_step("Idle latency")
        latency = _latency(stack.url, sessions, requests[:LONE_UPLOADS])
        rescoring.wait_until_idle(sessions, stack.settings)
        before = limit()

        def paired(rate: float, cpu: float) -> Round:
            nonlocal before
            rescoring.wait_until_idle(sessions, stack.settings)
            earlier, before = before, limit()
            return Round(rate, cpu, forward.between(earlier, before))

        uploads, batches, runs = [], [], []
        for number in range(1, ROUNDS + 1):
            on_step(f"{len(rush)} uploads at once, round {number} of {ROUNDS}")
            rate, cpu, batch = upload_at_once(
                stack.url,
                sessions,
                [load.build(path, key) for path in rush],
                2 * stack.settings.heartbeat_seconds,
            )
            uploads.append(paired(rate, cpu))
            batches.append(batch)
        more = ceil(NIGHT * before.images_per_second) - ROUNDS * len(rush)
        on_step(f"{max(0, more):,} more, for a longer night")
        while more > 0:
            load.rush(stack.url, [load.build(path, key) for path in rush[:more]], SENDERS)
            more -= len(rush)
        *first, last = twins
        during = requests[LONE_UPLOADS:]
        for number, twin in enumerate(first, 1):
            on_step(f"Rescoring them all, round {number} of {ROUNDS}")
            loading = during.pop()
            runs.append(paired(*rescoring.rate(stack.url, sessions, stack.settings, twin, loading)))
        on_step("Uploads during a run")
        in_run = rescoring.latency_during(stack.url, sessions, stack.settings, last, during)
        engine.dispose()
    return Measured(uploads, mean(batches), latency, runs, in_run)


def _latency(url: str, sessions: sessionmaker[Session], requests: Sequence[load.Request]) -> float:
    connection = load.connect(url)
    waited = []
    with sessions() as session:
        for request in requests:
            image_id = load.post(connection, request)
            accepted = time.perf_counter()
            rescoring.wait_until_scored(session, image_id)
            waited.append(time.perf_counter() - accepted)
            # Long enough for the heat map, if there is one to draw.
            time.sleep(0.5)
    # The first one warms up the worker.
    return median(waited[1:])


def upload_at_once(
    url: str, sessions: sessionmaker[Session], requests: Sequence[load.Request], settle: float
) -> tuple[float, float, float]:
    with sessions() as session:
        before, meter = _batches(session), Meter()
        start = time.perf_counter()
        load.rush(url, requests, SENDERS)
        while left := session.execute(text("SELECT count(*) FROM pending_images")).scalar_one():
            session.rollback()
            # Polling costs CPU too: poll more often towards the end.
            time.sleep(max(0.05, left / REMAINING_A_SECOND))
        elapsed, spent = time.perf_counter() - start, meter.seconds()
        # The count of batches arrives with the worker's next heartbeat.
        time.sleep(settle)
        session.rollback()
        batches = _batches(session) - before
    return len(requests) / elapsed, spent / len(requests), len(requests) / batches


def _batches(session: Session) -> int:
    return int(session.execute(text("SELECT coalesce(sum(batches), 0) FROM workers")).scalar_one())
