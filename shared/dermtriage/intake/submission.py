"""Submission of a referral: checked, stored and committed, once per request."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import Unavailable
from dermtriage.database.engine import autocommit_session, outage_as_unavailable
from dermtriage.intake.idempotency import Request, find_receipt, fingerprint
from dermtriage.intake.photographs import new_images, remove_originals, store_originals
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.referral import CaseMetadata
from dermtriage.intake.service import insert_case
from dermtriage.models import Image
from dermtriage.storage.image_store import ImageStore


def submit_case(
    sessions: sessionmaker[Session],
    store: ImageStore,
    *,
    clinic_id: UUID,
    idempotency_key: str,
    metadata: CaseMetadata,
    files: Sequence[bytes],
) -> Receipt:
    """Make a case of a referral and its photographs, or return the receipt of its earlier sending.

    When this returns, photographs and rows are durable. No database connection is held while the
    photographs are checked and stored. Of the same request sent twice, even at once, the primary
    key of `intake_requests` lets one make its case; the other gets the receipt of that.

    Raises
    ------
    RequestRejected
        If metadata and files contradict each other, or no case awaits this retake.
    ImageRejected
        If a file is not an acceptable photograph; its ``field`` names the file.
    IdempotencyMismatch
        If the key was used before with other content.
    ConfigurationError
        If no policy is active.
    Unavailable
        If the store or the database cannot be reached.
    """
    digests = [hashlib.sha256(data).digest() for data in files]
    request = Request(clinic_id, idempotency_key, fingerprint(metadata, digests))
    stored: list[Image] = []
    try:
        images = new_images(metadata.images, files, digests)
        stored = store_originals(store, images, files)
        with outage_as_unavailable(), sessions.begin() as session:
            # Not earlier: a clinic's poll counts on changes being committed soon after their time.
            return insert_case(session, request, metadata, images, utcnow())
    except Unavailable:
        # The commit may have succeeded although its answer was lost: then the case needs its
        # photographs. If it did not, the orphan sweep removes them.
        raise
    except Exception:
        remove_originals(store, stored)
        # A repeat is refused by the primary key, or by what its first sending has changed, such as
        # a retake that has arrived; its receipt is the answer all the same.
        with autocommit_session(sessions) as session:
            receipt = find_receipt(session, request)
        if receipt is None:
            raise
        return receipt
