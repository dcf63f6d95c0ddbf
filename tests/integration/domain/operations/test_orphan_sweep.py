"""The orphan sweep removes old originals without a row, and nothing else."""

import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.orm import Session
from tests import factories

from dermtriage.core.clock import utcnow
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.operations import orphan_sweep
from dermtriage.storage.image_store import ImageStore


def test_only_old_originals_without_a_row_are_removed(
    session: Session, store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    named = factories.receive(session, clinic_id, store=store).pending_image_ids[0]
    old, young = new_id(), new_id()
    for image_id in (old, young):
        store.put_original(image_id, b"an orphan")
    folder = Path(settings.store_url.removeprefix("file://")) / "originals"
    foreign = folder / "README.txt"
    foreign.write_text("put there by somebody")
    for path in (foreign, *(folder / i.hex[-2:] / str(i) for i in (old, named))):
        os.utime(path, (0, 0))
    before = utcnow() - timedelta(seconds=settings.orphan_grace)
    assert orphan_sweep.sweep_orphans(session, store, before=before) == 1
    left = {path.name for path in folder.rglob("*") if path.is_file()}
    assert left == {str(named), str(young), "README.txt"}
    assert orphan_sweep.sweep_orphans(session, store, before=before) == 0
