"""Steps of uploads: receive cases, read the state of their images, damage their originals."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import photograph

from dermtriage.core.enums import Scoring
from dermtriage.core.settings import Settings
from dermtriage.models import PendingImage
from dermtriage.operations import invariants
from dermtriage.scoring.pending import most_urgent_images
from dermtriage.storage.image_store import ImageStore

NO_DELAY, LONG_DELAY = 1e-6, 3600.0
"""Seconds until failed work may be tried again: past before the next transaction, or longer than
any test."""


def send(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID, count: int, **fields: Any
) -> list[UUID]:
    """Receive cases of one photograph each; return the images, the oldest first."""
    images = []
    with sessions.begin() as session:
        for number in range(count):
            now = factories.MONDAY + timedelta(minutes=number)
            files = [photograph(number)]
            receipt = factories.receive(
                session, clinic_id, store=store, files=files, now=now, **fields
            )
            images += receipt.pending_image_ids
    return images


def scoring_states(sessions: sessionmaker[Session], images: Sequence[UUID]) -> list[Scoring]:
    """Return the state of scoring of each image."""
    with sessions() as session:
        return [factories.image(session, image_id).scoring for image_id in images]


def pending(sessions: sessionmaker[Session]) -> list[PendingImage]:
    """Return the pending images, the most urgent first."""
    with sessions() as session:
        return list(session.scalars(select(PendingImage).order_by(PendingImage.due_at)))


def end_retry_delays(sessions: sessionmaker[Session]) -> None:
    """Let all pending images be leased again at once, as if their delays had passed."""
    with sessions.begin() as session:
        session.execute(update(PendingImage).values(not_before=None))


def invariants_hold(sessions: sessionmaker[Session]) -> bool:
    """Return whether all invariants hold."""
    with sessions() as session:
        return invariants.check_invariants(session) == {}


def assert_given_back(sessions: sessionmaker[Session], count: int) -> None:
    """Assert that `count` images are pending without lease or attempt, and are delayed."""
    rows = pending(sessions)
    assert [(row.attempts, row.lease_token, row.worker_id) for row in rows] == [
        (0, None, None)
    ] * count
    assert all(row.not_before is not None and row.last_error is not None for row in rows)
    with sessions() as session:
        assert most_urgent_images(session, 9, max_attempts=3) == []
    assert invariants_hold(sessions)


def store_folder(settings: Settings) -> Path:
    """Return the folder of the store."""
    return Path(settings.store_url.removeprefix("file://"))


def damage(settings: Settings, image_id: UUID, content: bytes | None) -> None:
    """Replace an original in the store, or remove it."""
    original = store_folder(settings) / "originals" / image_id.hex[-2:] / str(image_id)
    if content is None:
        original.unlink()
    else:
        original.write_bytes(content)
