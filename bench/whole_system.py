"""The whole system under a rush of uploads, idle but for one, and rescoring at night."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from bench import load, rescoring
from dermtriage import accounts, db
from dermtriage_cli.stack import Stack

SENDERS = 4
LONE_UPLOADS = 20


@dataclass(frozen=True)
class Measured:
    """Images a second under load and in a run, seconds from 202 to the worklist when idle."""

    images_per_second: float
    idle_latency: float
    mean_batch: float
    rescored_per_second: float


def measure(
    data_dir: Path, rush: list[Path], lone: list[Path], on_step: Callable[[str], None]
) -> Measured:
    """Start the embedded stack and measure it.

    Parameters
    ----------
    rush
        Photographs that are sent at once.
    lone
        Other photographs, sent one after the other, each when all is idle.
    """
    with Stack(data_dir, on_step=on_step) as stack:
        engine = db.make_engine(stack.settings)
        sessions = db.make_sessions(engine)
        with sessions.begin() as session:
            secret = stack.settings.secret_key.get_secret_value()
            _, key = accounts.add_clinic(session, name="Bench", secret_key=secret)
        on_step("Idle latency")
        latency = _latency(stack.url, sessions, [load.build(path, key) for path in lone])
        on_step(f"{len(rush)} uploads at once")
        rate, batch = _rush(
            stack.url,
            sessions,
            [load.build(path, key) for path in rush],
            2 * stack.settings.heartbeat_seconds,
        )
        on_step("Rescoring them all")
        rescored = rescoring.measure(sessions, stack.settings)
        engine.dispose()
    return Measured(rate, latency, batch, rescored)


def _latency(url: str, sessions: sessionmaker[Session], requests: list[load.Request]) -> float:
    connection = load.connect(url)
    waited = []
    with sessions() as session:
        for request in requests:
            image_id = load.post(connection, request)
            accepted = time.perf_counter()
            while not _is_scored(session, image_id):
                time.sleep(0.002)
            waited.append(time.perf_counter() - accepted)
            time.sleep(0.1)
    # The first one warms the worker.
    return median(waited[1:])


def _is_scored(session: Session, image_id: UUID) -> bool:
    found = session.execute(
        text("SELECT scoring = 'scored' FROM images WHERE id = :id"), {"id": image_id}
    ).scalar_one()
    session.rollback()
    return bool(found)


def _rush(
    url: str, sessions: sessionmaker[Session], requests: list[load.Request], settle: float
) -> tuple[float, float]:
    with sessions() as session:
        before = _batches(session)
        start = time.perf_counter()
        load.rush(url, requests, SENDERS)
        while session.execute(text("SELECT count(*) FROM pending_images")).scalar_one():
            session.rollback()
            time.sleep(0.02)
        elapsed = time.perf_counter() - start
        # The count of batches comes with the worker's next signs of life.
        time.sleep(settle)
        session.rollback()
        batches = _batches(session) - before
    return len(requests) / elapsed, len(requests) / batches


def _batches(session: Session) -> int:
    return int(session.execute(text("SELECT coalesce(sum(batches), 0) FROM workers")).scalar_one())
