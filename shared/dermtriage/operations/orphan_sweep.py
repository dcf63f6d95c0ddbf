"""Remove objects of the image store that no row ever named."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.models import Image
from dermtriage.storage.image_store import ImageStore


def sweep_orphans(session: Session, store: ImageStore, *, before: datetime) -> int:
    """Remove originals stored before a moment that no row ever named.

    They stem from uploads whose transaction failed while the store was out of reach.

    Returns
    -------
    int
        How many were removed.
    """
    removed = 0
    for page in store.originals_before(before):
        known = set(session.scalars(select(Image.id).where(Image.id.in_(page))))
        for image_id in page:
            if image_id not in known:
                store.delete_original(image_id)
                removed += 1
    return removed
