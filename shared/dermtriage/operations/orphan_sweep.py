"""Remove objects from the image store that have no row in the database."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.models import Image
from dermtriage.storage.image_store import ImageStore


def sweep_orphans(session: Session, store: ImageStore, *, before: datetime) -> int:
    """Remove originals that were stored before a moment and have no row.

    Uploads leave them behind whose transaction failed and that could not remove them, because
    the store could not be reached.

    Parameters
    ----------
    before
        Aware. Younger originals stay: the transaction of their upload may not be committed yet.

    Returns
    -------
    int
        The number of originals removed.
    """
    removed = 0
    for page in store.originals_before(before):
        known = set(session.scalars(select(Image.id).where(Image.id.in_(page))))
        for image_id in page:
            if image_id not in known:
                store.delete_original(image_id)
                removed += 1
    return removed
