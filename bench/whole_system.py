"""The whole system under a rush of uploads, idle but for one, and rescoring at night."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from bench import load, rescoring
from bench.cpu import Meter
from dermtriage import accounts, db
from dermtriage.settings import get_settings
from dermtriage_cli.stack import Stack

SENDERS = 32
LONE_UPLOADS = 20
DURING_A_RUN = 20
LONE = LONE_UPLOADS + DURING_A_RUN + 2
"""Photographs that are sent alone: two of them have a twin loaded."""
BATCH = get_settings().scoring_batch


@dataclass(frozen=True)
class Measured:
    """What one release reached.

    Attributes
    ----------
    uploads_per_second, rescored_per_second
        From the first request to the last assessment, and in a run over everything.
    uploads_cpu, rescoring_cpu
        CPU seconds an image of all our processes, PostgreSQL and Redis among them.
    mean_batch
        Images a device batch in the rush.
    idle_latency
        Seconds from 202 to assessment with nothing else to do, median.
    latency_in_run
        The same while a run goes on: median and 95th percentile.
    """

    uploads_per_second: float
    uploads_cpu: float
    mean_batch: float
    idle_latency: float
    rescored_per_second: float
    rescoring_cpu: float
    latency_in_run: tuple[float, float]


def measure(
    data_dir: Path,
    rush: Sequence[Path],
    lone: Sequence[Path],
    twins: tuple[str, str],
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
        Copies of the release under other names, to rescore everything with.
    """
    with Stack(data_dir, on_step=on_step) as stack:
        engine = db.make_engine(stack.settings)
        sessions = db.make_sessions(engine)
        with sessions.begin() as session:
            secret = stack.settings.secret_key.get_secret_value()
            _, key = accounts.add_clinic(session, name="Bench", secret_key=secret)
        requests = [load.build(path, key) for path in lone]
        on_step("Idle latency")
        latency = _latency(stack.url, sessions, requests[:LONE_UPLOADS])
        rescoring.wait_until_idle(sessions, stack.settings)
        on_step(f"{len(rush)} uploads at once")
        rate, cpu, batch = _rush(
            stack.url,
            sessions,
            [load.build(path, key) for path in rush],
            2 * stack.settings.heartbeat_seconds,
        )
        on_step("As many again, for a longer night")
        load.rush(stack.url, [load.build(path, key) for path in rush], SENDERS)
        on_step("Rescoring them all")
        loading, *during = requests[LONE_UPLOADS:]
        rescored, rescoring_cpu = rescoring.rate(
            stack.url, sessions, stack.settings, twins[0], loading
        )
        on_step("Uploads during a run")
        in_run = rescoring.latency_during(stack.url, sessions, stack.settings, twins[1], during)
        engine.dispose()
    return Measured(rate, cpu, batch, latency, rescored, rescoring_cpu, in_run)


def _latency(url: str, sessions: sessionmaker[Session], requests: Sequence[load.Request]) -> float:
    connection = load.connect(url)
    waited = []
    with sessions() as session:
        for request in requests:
            image_id = load.post(connection, request)
            accepted = time.perf_counter()
            rescoring.wait_until_scored(session, image_id)
            waited.append(time.perf_counter() - accepted)
            time.sleep(0.1)
    # The first one warms the worker.
    return median(waited[1:])


def _rush(
    url: str, sessions: sessionmaker[Session], requests: Sequence[load.Request], settle: float
) -> tuple[float, float, float]:
    with sessions() as session:
        before, meter = _batches(session), Meter()
        start = time.perf_counter()
        load.rush(url, requests, SENDERS)
        while session.execute(text("SELECT count(*) FROM pending_images")).scalar_one():
            session.rollback()
            time.sleep(0.1)  # asking takes some of the machine too
        elapsed, spent = time.perf_counter() - start, meter.seconds()
        # The count of batches comes with the worker's next signs of life.
        time.sleep(settle)
        session.rollback()
        batches = _batches(session) - before
    return len(requests) / elapsed, spent / len(requests), len(requests) / batches


def _batches(session: Session) -> int:
    return int(session.execute(text("SELECT coalesce(sum(batches), 0) FROM workers")).scalar_one())
