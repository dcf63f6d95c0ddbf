"""A request that is sent twice makes one case: its fingerprint, and the case it made before."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.core.errors import IdempotencyMismatch
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.referral import CaseMetadata
from dermtriage.models import Case, IntakeRequest


@dataclass(frozen=True, slots=True)
class Request:
    """What identifies a request: its clinic and key, and the fingerprint of its content."""

    clinic_id: UUID
    key: str
    fingerprint: bytes

    def row(self, case_id: UUID) -> IntakeRequest:
        """Return the row that records which case the request made."""
        return IntakeRequest(
            clinic_id=self.clinic_id,
            idempotency_key=self.key,
            fingerprint=self.fingerprint,
            case_id=case_id,
        )


def fingerprint(metadata: CaseMetadata, digests: Sequence[bytes]) -> bytes:
    """Return a SHA-256 over all of a request's content: its metadata and its files' digests."""
    # Without defaults, so that a field added in a later version leaves earlier fingerprints valid.
    canonical = json.dumps(metadata.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(canonical.encode() + b"".join(digests)).digest()


def find_receipt(session: Session, request: Request) -> Receipt | None:
    """Return the receipt of the case that a request made before, if it made one.

    Raises
    ------
    IdempotencyMismatch
        If the key was used before with other content.
    """
    earlier = session.execute(
        select(IntakeRequest.fingerprint, IntakeRequest.case_id).where(
            IntakeRequest.clinic_id == request.clinic_id,
            IntakeRequest.idempotency_key == request.key,
        )
    ).one_or_none()
    if earlier is None:
        return None
    if earlier.fingerprint != request.fingerprint:
        raise IdempotencyMismatch("This Idempotency-Key was used for another referral.")
    case = session.get_one(Case, earlier.case_id, options=[selectinload(Case.images)])
    return Receipt.of(case, created=False)
