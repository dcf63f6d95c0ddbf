"""A request that is sent twice makes one case: its fingerprint, its lock, what came of it."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg
from sqlalchemy import Text, and_, bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dermtriage.core.errors import Conflict, IdempotencyMismatch
from dermtriage.intake.referral import CaseMetadata
from dermtriage.models import IntakeRequest, PolicyVersion
from dermtriage.releases.queries import no_policy
from dermtriage.triage.policy import Policy

_SAME = and_(
    IntakeRequest.clinic_id == bindparam("clinic_id"),
    IntakeRequest.idempotency_key == bindparam("idempotency_key"),
)

# Every upload asks this, so it is built once, and one question in place of three.
_OPENING = (
    select(
        func.pg_try_advisory_xact_lock(
            func.hashtextextended(bindparam("name", type_=Text), 0)
        ).label("locked"),
        PolicyVersion.id,
        PolicyVersion.body,
        IntakeRequest.fingerprint,
        IntakeRequest.case_id,
    )
    .outerjoin_from(PolicyVersion, IntakeRequest, _SAME)
    .where(PolicyVersion.active)
)
_KNOWN = select(IntakeRequest.fingerprint, IntakeRequest.case_id).where(_SAME)


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a request the same as one before."""

    clinic_id: UUID
    key: str
    fingerprint: bytes

    def row(self, case_id: UUID) -> IntakeRequest:
        """Return what is kept of it with the case that it made."""
        return IntakeRequest(
            clinic_id=self.clinic_id,
            idempotency_key=self.key,
            fingerprint=self.fingerprint,
            case_id=case_id,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """What counts for a request from its beginning."""

    policy_id: int
    policy: Policy
    known: UUID | None
    """The case that the same request made before. None may be older than the lock: see `begin`."""


def fingerprint(metadata: CaseMetadata, digests: Sequence[bytes]) -> bytes:
    """Return 32 bytes that stand for all of a request's content."""
    # Without defaults: a field that a later version adds must not change what was sent before.
    canonical = json.dumps(metadata.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(canonical.encode() + b"".join(digests)).digest()


def begin(session: Session, request: Request) -> Opened:
    """Take the lock of a request, and read what is known of it and by which policy to triage.

    All by one statement, which may see the database as it was just before it got the lock. Whoever
    made the same case in that moment stays unseen; `refusing_repeated` meets it at the latest.

    Raises
    ------
    Conflict
        If the same request is being handled at this moment.
    IdempotencyMismatch
        If the key came before, with other content.
    ConfigurationError
        If there is no policy.
    """
    name = f"{request.clinic_id}/{request.key}"
    opened = session.connection().execute(_OPENING, {"name": name, **_bound(request)}).one_or_none()
    if opened is None:
        raise no_policy()
    # A lock of the transaction is gone with its process, so no stale "in progress" can remain.
    if not opened.locked:
        raise _in_progress()
    known = _same(request, opened.fingerprint, opened.case_id)
    return Opened(opened.id, Policy.model_validate(opened.body), known)


def known_case(session: Session, request: Request) -> UUID | None:
    """Return the case that the same request made before; certain under the lock of `begin`.

    Raises
    ------
    IdempotencyMismatch
        If the key came before, with other content.
    """
    known = session.execute(_KNOWN, _bound(request)).one_or_none()
    return _same(request, *known) if known is not None else None


@contextmanager
def refusing_repeated() -> Iterator[None]:
    """Refuse a request whose row is there already.

    Raises
    ------
    Conflict
        If the same request was handled at this moment.
    """
    try:
        yield
    except IntegrityError as error:
        cause = error.orig
        if (
            isinstance(cause, psycopg.errors.UniqueViolation)
            and cause.diag.table_name == IntakeRequest.__tablename__
        ):
            raise _in_progress() from error
        raise


def _bound(request: Request) -> dict[str, object]:
    return {"clinic_id": request.clinic_id, "idempotency_key": request.key}


def _same(request: Request, earlier: bytes | None, case_id: UUID | None) -> UUID | None:
    if earlier is not None and earlier != request.fingerprint:
        raise IdempotencyMismatch("This Idempotency-Key was used for another referral.")
    return case_id


def _in_progress() -> Conflict:
    return Conflict(
        "The same request is being handled at this moment.",
        remedy="Repeat it in a few seconds to get its receipt.",
        code="request_in_progress",
    )
