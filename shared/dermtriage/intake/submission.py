"""Submission of a case in a transaction of its own."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.errors import Unavailable
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.referral import CaseMetadata
from dermtriage.intake.service import discard, receive_case
from dermtriage.storage.image_store import ImageStore


def submit_case(
    sessions: sessionmaker[Session],
    store: ImageStore,
    *,
    clinic_id: UUID,
    idempotency_key: str,
    metadata: CaseMetadata,
    files: Sequence[bytes],
    now: datetime,
) -> Receipt:
    """Store a case and commit it. If the commit is refused, its photographs are removed again.

    Raises
    ------
    DermtriageError
        As `receive_case` does; `Unavailable` also if the database cannot be reached.
    """
    receipt = None
    try:
        with outage_as_unavailable(), sessions.begin() as session:
            receipt = receive_case(
                session,
                store,
                clinic_id=clinic_id,
                idempotency_key=idempotency_key,
                metadata=metadata,
                files=files,
                now=now,
            )
    except Unavailable:
        # The commit may have succeeded although its answer was lost: then the case needs its
        # photographs. If it did not, the orphan sweep removes them.
        raise
    except Exception:
        if receipt is not None:
            discard(store, receipt)
        raise
    return receipt
