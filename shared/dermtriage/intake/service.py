"""Intake: check a referral, store its photographs, insert its rows, once per request."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session, selectinload

from dermtriage.accounts import audit
from dermtriage.cases.events import TriageCause, record_event
from dermtriage.core.errors import RequestRejected, Unavailable
from dermtriage.database.bulk import insert_new_rows
from dermtriage.intake import idempotency
from dermtriage.intake.idempotency import Request, fingerprint
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.referral import CaseMetadata
from dermtriage.intake.retakes import close_replaced_case, lock_replaced_case
from dermtriage.intake.rows import new_case, new_images, pending_images
from dermtriage.models import Case, Image
from dermtriage.releases.queries import active_policy
from dermtriage.storage.image_store import ImageStore
from dermtriage.triage.lanes import retake_priority


def receive_case(
    session: Session,
    store: ImageStore,
    *,
    clinic_id: UUID,
    idempotency_key: str,
    metadata: CaseMetadata,
    files: Sequence[bytes],
    now: datetime,
) -> Receipt:
    """Make a case of one referral and its photographs, or return the case it made before.

    When this returns, the photographs are in the store, and the rows are in the caller's
    transaction. If its commit fails, the caller calls `discard`.

    Raises
    ------
    RequestRejected
        If metadata and files contradict each other, or no case awaits this retake.
    ImageRejected
        If a file is not an acceptable photograph; its ``field`` names the file.
    Conflict
        If the same request is being handled at this moment.
    IdempotencyMismatch
        If the key was used before with other content.
    ConfigurationError
        If no policy is active.
    Unavailable
        If the store cannot be reached.
    """
    if len(files) != len(metadata.images):
        raise RequestRejected(
            f"{len(metadata.images)} images are described, {len(files)} were sent.",
            field="images",
            remedy="Describe each file once in metadata.images, in the order of the files.",
            code="image_count_mismatch",
        )
    digests = [hashlib.sha256(data).digest() for data in files]
    request = Request(clinic_id, idempotency_key, fingerprint(metadata, digests))
    earlier_id = idempotency.begin(session, request)
    if earlier_id is not None:
        case = session.get_one(Case, earlier_id, options=[selectinload(Case.images)])
        return Receipt.of(case, created=False)

    images = new_images(metadata.images, files, digests)
    policy_id, policy = active_policy(session)
    fields = metadata.model_dump(exclude={"images"})
    replaced = None
    if metadata.replaces_case_id is not None:
        replaced = lock_replaced_case(session, clinic_id, metadata.replaces_case_id)
        fields["priority"] = retake_priority(
            metadata.priority, replaced.priority, replaced.severity
        )
    case = new_case(policy, clinic_id, fields, images, now)
    _store_originals(store, images, files)
    try:
        session.add_all([case, *pending_images(case), request.row(case.id)])
        record_event(session, case, "received", TriageCause(policy_id), before=None)
        audit.record(
            session,
            actor_kind="clinic",
            actor_id=clinic_id,
            action="case.received",
            case_id=case.id,
            images=len(images),
        )
        if replaced is not None:
            close_replaced_case(session, replaced, policy_id, now)
        # If the database refuses a row, the originals can still be removed.
        insert_new_rows(session)
        session.flush()
    except BaseException:
        _remove_originals(store, [image.id for image in images])
        raise
    return Receipt.of(case, created=True)


def discard(store: ImageStore, receipt: Receipt) -> None:
    """Remove the photographs of a case whose commit failed.

    If the connection was lost during the commit, the commit may have succeeded: then call this
    only after a new transaction has not found the case.
    """
    if receipt.created:
        _remove_originals(store, [image.image_id for image in receipt.images])


def _store_originals(store: ImageStore, images: Sequence[Image], files: Sequence[bytes]) -> None:
    try:
        for image, data in zip(images, files, strict=True):
            store.put_original(image.id, data)
    except BaseException:
        _remove_originals(store, [image.id for image in images])
        raise


def _remove_originals(store: ImageStore, image_ids: Sequence[UUID]) -> None:
    # If the store cannot be reached either, the nightly orphan sweep removes them.
    with suppress(Unavailable):
        for image_id in image_ids:
            store.delete_original(image_id)
