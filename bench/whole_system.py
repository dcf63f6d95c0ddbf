"""The whole system under a rush of uploads, and idle but for one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID

import httpx
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from dermtriage import accounts, db
from dermtriage_cli.sender import Photograph, Referral, send_all, send_case
from dermtriage_cli.stack import Stack

SENDERS = 4
LONE_UPLOADS = 20


@dataclass(frozen=True)
class Measured:
    """Images a second under load, seconds from 202 to the worklist when idle."""

    images_per_second: float
    idle_latency: float
    mean_batch: float


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
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=stack.url, headers=headers, timeout=120) as client:
            latency = _latency(client, sessions, lone, on_step)
            rate, batch = _rush(client, sessions, rush, on_step)
        engine.dispose()
    return Measured(rate, latency, batch)


def _referral(path: Path) -> Referral:
    return Referral(path.stem, (Photograph(path.read_bytes),))


def _latency(
    client: httpx.Client,
    sessions: sessionmaker[Session],
    paths: list[Path],
    on_step: Callable[[str], None],
) -> float:
    on_step("Idle latency")
    waited = []
    with sessions() as session:
        for path in paths:
            receipt = send_case(client, _referral(path))
            accepted = time.perf_counter()
            image_id = UUID(receipt["images"][0]["image_id"])
            while not _is_scored(session, image_id):
                time.sleep(0.001)
            waited.append(time.perf_counter() - accepted)
    return median(waited[1:])


def _is_scored(session: Session, image_id: UUID) -> bool:
    found = session.execute(
        text("SELECT scoring = 'scored' FROM images WHERE id = :id"), {"id": image_id}
    ).scalar_one()
    session.rollback()
    return bool(found)


def _rush(
    client: httpx.Client,
    sessions: sessionmaker[Session],
    paths: list[Path],
    on_step: Callable[[str], None],
) -> tuple[float, float]:
    on_step(f"{len(paths)} uploads at once")
    with sessions() as session:
        before = _batches(session)
        start = time.perf_counter()
        for sent in send_all(client, map(_referral, paths), concurrency=SENDERS):
            if sent.error is not None:
                raise sent.error
        while session.execute(text("SELECT count(*) FROM pending_images")).scalar_one():
            session.rollback()
            time.sleep(0.02)
        elapsed = time.perf_counter() - start
        # The last heartbeat tells of the last batch.
        time.sleep(6)
        session.rollback()
        batches = _batches(session) - before
    return len(paths) / elapsed, len(paths) / batches


def _batches(session: Session) -> int:
    return int(session.execute(text("SELECT coalesce(sum(batches), 0) FROM workers")).scalar_one())
