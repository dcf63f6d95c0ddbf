"""A request that is sent twice makes one case: its fingerprint, its lock, its earlier case."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dermtriage.core.errors import Conflict, IdempotencyMismatch
from dermtriage.intake.referral import CaseMetadata
from dermtriage.models import IntakeRequest


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


def begin(session: Session, request: Request) -> UUID | None:
    """Lock a request until the transaction ends, and return the case that it made before, if any.

    The earlier request is read by a second statement, once the lock is held: a transaction that
    held the lock before has committed by then, so that its case is seen.

    Raises
    ------
    Conflict
        If the same request is being handled at this moment.
    IdempotencyMismatch
        If the key was used before with other content.
    """
    # The lock ends with the transaction or its connection: none outlives a killed process.
    name = f"{request.clinic_id}/{request.key}"
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0))
    if not session.scalar(select(lock)):
        raise Conflict(
            "The same request is being handled at this moment.",
            remedy="Repeat it in a few seconds to get its receipt.",
            code="request_in_progress",
        )
    earlier = session.get(IntakeRequest, (request.clinic_id, request.key))
    if earlier is None:
        return None
    if earlier.fingerprint != request.fingerprint:
        raise IdempotencyMismatch("This Idempotency-Key was used for another referral.")
    return earlier.case_id
