"""The whole system: a burst of uploads, single uploads when it is idle, and rescoring."""

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
"""Photographs that are sent alone; some of them only make the workers load a twin."""
NIGHT = 25.0
"""The least duration of a run at the forward limit, in seconds. In a shorter run the time before
the first and after the last batch would weigh more than in a real night."""
MOST_PER_SECOND = 1000
"""More images per second than any release scores, so that no poll sleeps past the end."""
BATCH = get_settings().scoring_batch


@dataclass(frozen=True)
class Round:
    """How fast the system scored all photographs once.

    Attributes
    ----------
    cpu_seconds_per_image
        Of all our processes, PostgreSQL and Redis among them.
    limit
        The forward limit: the mean of one measurement before and one after, when the system was
        idle. The machine's speed drifts by the minute.
    """

    images_per_second: float
    cpu_seconds_per_image: float
    limit: forward.Limit

    @property
    def over_limit(self) -> float:
        """The share of the forward limit."""
        return self.images_per_second / self.limit.images_per_second

    @property
    def cpu_beside(self) -> float:
        """CPU seconds per image besides the ensemble."""
        return self.cpu_seconds_per_image - self.limit.cpu_seconds_per_image


@dataclass(frozen=True)
class Measured:
    """The speed of one release.

    Attributes
    ----------
    uploads
        Bursts, each from its first request to its last assessment.
    mean_batch
        Images per device batch in the bursts.
    idle_latency
        Seconds from 202 to assessment when nothing else is to do, median.
    rescoring
        Runs over everything.
    latency_in_run
        The same during a run: median and 95th percentile.
    """

    uploads: list[Round]
    mean_batch: float
    idle_latency: float
    rescoring: list[Round]
    latency_in_run: tuple[float, float]


def measure(
    data_dir: Path,
    burst: Sequence[Path],
    lone: Sequence[Path],
    twins: Sequence[str],
    limit: Callable[[], forward.Limit],
    on_step: Callable[[str], None],
) -> Measured:
    """Start the embedded stack and measure it.

    Parameters
    ----------
    burst
        Photographs that are sent at once.
    lone
        Other photographs, sent one by one: some while the system is idle, the rest during a run.
    twins
        Names of `TWINS` copies of the release, with which everything is rescored.
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
            on_step(f"{len(burst)} uploads at once, round {number} of {ROUNDS}")
            rate, cpu, batch = upload_at_once(
                stack.url,
                sessions,
                [load.build(path, key) for path in burst],
                2 * stack.settings.heartbeat_seconds,
            )
            uploads.append(paired(rate, cpu))
            batches.append(batch)
        more = ceil(NIGHT * before.images_per_second) - ROUNDS * len(burst)
        on_step(f"{max(0, more):,} more, for a longer night")
        while more > 0:
            load.send_all(stack.url, [load.build(path, key) for path in burst[:more]], SENDERS)
            more -= len(burst)
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
            # Long enough to draw a heat map, if the photograph is severe.
            time.sleep(0.5)
    # The first one warms up the worker.
    return median(waited[1:])


def upload_at_once(
    url: str, sessions: sessionmaker[Session], requests: Sequence[load.Request], settle: float
) -> tuple[float, float, float]:
    """Send all requests at once, and wait until every photograph is scored.

    Parameters
    ----------
    settle
        Seconds until the worker has reported all its batches.

    Returns
    -------
    float, float, float
        Images per second, CPU seconds per image, images per device batch.
    """
    with sessions() as session:
        before, meter = _batches(session), Meter()
        start = time.perf_counter()
        load.send_all(url, requests, SENDERS)
        while left := session.execute(text("SELECT count(*) FROM pending_images")).scalar_one():
            session.rollback()
            # Polling costs CPU too: poll more often towards the end.
            time.sleep(max(0.05, left / MOST_PER_SECOND))
        elapsed, spent = time.perf_counter() - start, meter.seconds()
        # The count of batches arrives with the worker's next heartbeat.
        time.sleep(settle)
        session.rollback()
        batches = _batches(session) - before
    return len(requests) / elapsed, spent / len(requests), len(requests) / batches


def _batches(session: Session) -> int:
    return int(session.execute(text("SELECT coalesce(sum(batches), 0) FROM workers")).scalar_one())
