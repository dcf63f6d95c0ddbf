"""Remove originals without a row in the database: into quarantine first, for good much later.

Uploads leave such orphans behind whose transaction failed and that could not remove them, because
the store could not be reached. Many orphans have another cause: then the database is not the one
that these originals were received with, and nothing is moved.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.accounts import audit
from dermtriage.core.settings import Settings
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Image
from dermtriage.storage.image_store import ImageStore

logger = logging.getLogger(__name__)

MAX_SHARE = 0.01
"""The largest share of a store's originals that one sweep moves into quarantine."""

ALWAYS_MOVED = 20
"""Orphans that a sweep moves whatever their share: a small store has few originals."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found and did.

    Attributes
    ----------
    originals
        Originals in the store, without those in quarantine.
    orphans
        Those of them that are old enough and have no row.
    refused
        Whether the orphans were too many, so that they stay.
    moved, restored, deleted
        Originals moved into quarantine, moved back out of it because they have a row, and removed
        for good.
    quarantined
        Originals in quarantine afterwards.
    """

    originals: int
    orphans: int
    refused: bool
    moved: int
    restored: int
    deleted: int
    quarantined: int


def sweep_orphans(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    *,
    now: datetime,
    limited: bool = True,
) -> Sweep:
    """Move old orphans into quarantine, and remove those that have been there for long.

    The transactions are short ones of its own: reading a whole store takes minutes.

    Parameters
    ----------
    now
        Aware. Originals younger than the setting `orphan_grace` stay: the transaction of their
        upload may not be committed yet.
    limited
        Whether the sweep stops if the orphans are too many.

    Raises
    ------
    StoreMismatch
        If the store is not the one of this database.
    Unavailable
        If the store or the database cannot be reached.
    """
    # Not by an identity that was read long ago: the database may be another one since.
    store.check()
    with_row, expired, quarantined = _read_quarantine(
        sessions, store, before=now - timedelta(seconds=settings.orphan_quarantine)
    )
    for image_id in with_row:
        store.restore_original(image_id)
    if with_row:
        logger.error("originals with a row were in quarantine", extra={"restored": len(with_row)})
    originals, orphans = _read_originals(
        sessions, store, before=now - timedelta(seconds=settings.orphan_grace)
    )
    refused = limited and len(orphans) > max(ALWAYS_MOVED, MAX_SHARE * originals)
    if refused:
        logger.error(
            "too many orphans, none moved",
            extra={"orphans": len(orphans), "originals": originals},
        )
        expired = []
    moved = [] if refused else orphans
    for image_id in moved:
        store.quarantine_original(image_id)
    for image_id in expired:
        store.delete_quarantined(image_id)
    sweep = Sweep(
        originals=originals - len(moved),
        orphans=len(orphans),
        refused=refused,
        moved=len(moved),
        restored=len(with_row),
        deleted=len(expired),
        quarantined=quarantined + len(moved) - len(with_row) - len(expired),
    )
    _record(sessions, sweep)
    return sweep


def _read_quarantine(
    sessions: sessionmaker[Session], store: ImageStore, *, before: datetime
) -> tuple[list[UUID], list[UUID], int]:
    """Return the originals in quarantine that have a row, the expired ones, and their number."""
    with_row: list[UUID] = []
    expired: list[UUID] = []
    count = 0
    for page in store.quarantined():
        count += len(page)
        known = _known(sessions, [one.image_id for one in page])
        with_row += known
        expired += [
            one.image_id for one in page if one.stored_at < before and one.image_id not in known
        ]
    return with_row, expired, count


def _read_originals(
    sessions: sessionmaker[Session], store: ImageStore, *, before: datetime
) -> tuple[int, list[UUID]]:
    """Return the number of originals, and those of them that are old and have no row."""
    orphans: list[UUID] = []
    count = 0
    for page in store.originals():
        count += len(page)
        old = [one.image_id for one in page if one.stored_at < before]
        known = _known(sessions, old)
        orphans += [image_id for image_id in old if image_id not in known]
    return count, orphans


def _known(sessions: sessionmaker[Session], image_ids: Collection[UUID]) -> set[UUID]:
    if not image_ids:
        return set()
    with outage_as_unavailable(), sessions() as session:
        return set(session.scalars(select(Image.id).where(Image.id.in_(image_ids))))


def _record(sessions: sessionmaker[Session], sweep: Sweep) -> None:
    """Record a sweep in the audit log, where the metrics and `doctor` read it."""
    with outage_as_unavailable(), sessions.begin() as session:
        audit.record(
            session,
            actor_kind="operator",
            actor_id=None,
            action="orphans.swept",
            originals=sweep.originals,
            orphans=sweep.orphans,
            refused=sweep.orphans if sweep.refused else 0,
            moved=sweep.moved,
            restored=sweep.restored,
            deleted=sweep.deleted,
            quarantined=sweep.quarantined,
        )
