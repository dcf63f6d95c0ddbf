"""Clinicians' claims on cases: take, renew, release."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.core.enums import CaseState
from dermtriage.core.errors import Conflict, NotFound
from dermtriage.models import IS_OPEN, Case, ReviewClaim, claim_tokens


def claim_next(
    session: Session, *, clinician_id: UUID, now: datetime, lifetime: float
) -> ReviewClaim | None:
    """Lend the first case of the worklist that nobody holds; None if there is none.

    Parameters
    ----------
    lifetime
        Seconds until the claim runs out.
    """
    held = select(ReviewClaim.case_id).where(
        ReviewClaim.case_id == Case.id, ReviewClaim.expires_at > now
    )
    first_free = (
        select(Case.id)
        .where(IS_OPEN, ~held.exists())
        .order_by(Case.lane, Case.due_at, Case.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    # A case may be lent between our look and our lock: then look again, at what is next.
    while (case_id := session.scalar(first_free)) is not None:
        claim = _lend(session, case_id, clinician_id, now, lifetime)
        if claim is not None:
            return claim
    return None


def claim_case(
    session: Session, *, case_id: UUID, clinician_id: UUID, now: datetime, lifetime: float
) -> ReviewClaim:
    """Lend one case, also a decided one, whose decision is then to be superseded.

    Raises
    ------
    NotFound
        If there is no such case.
    Conflict
        If another clinician holds it, or it was withdrawn.
    """
    case = lock_case(session, case_id)
    if case.state is CaseState.WITHDRAWN:
        raise Conflict("The case was withdrawn.", remedy="Take another.", code="withdrawn")
    claim = _lend(session, case_id, clinician_id, now, lifetime)
    if claim is None:
        raise Conflict(
            "Another clinician holds this case.",
            remedy="Take another, or wait until the claim runs out.",
            code="claimed_by_other",
        )
    return claim


def renew_claim(
    session: Session,
    *,
    case_id: UUID,
    clinician_id: UUID,
    token: int,
    now: datetime,
    lifetime: float,
) -> ReviewClaim:
    """Prolong a claim that still holds.

    Raises
    ------
    Conflict
        If it does not.
    """
    claim = lock_claim(session, case_id, clinician_id, token, now)
    claim.expires_at = now + timedelta(seconds=lifetime)
    return claim


def release_claim(session: Session, *, case_id: UUID, clinician_id: UUID, token: int) -> None:
    """Give a case back to the worklist; it is no error if the claim holds no more."""
    lock_case(session, case_id)
    removed = session.execute(
        delete(ReviewClaim)
        .where(
            ReviewClaim.case_id == case_id,
            ReviewClaim.clinician_id == clinician_id,
            ReviewClaim.token == token,
        )
        .returning(ReviewClaim.case_id)
    )
    if removed.first() is not None:
        record_audit(session, clinician_id, "case.released", case_id)


def lock_case(session: Session, case_id: UUID) -> Case:
    """Return a case as it is now, locked until the caller's transaction ends.

    Raises
    ------
    NotFound
        If there is no such case.
    """
    case = session.get(Case, case_id, with_for_update=True, populate_existing=True)
    if case is None:
        raise NotFound("There is no such case.", remedy="Check its id.", code="case_not_found")
    return case


def _lend(
    session: Session, case_id: UUID, clinician_id: UUID, now: datetime, lifetime: float
) -> ReviewClaim | None:
    lent = {
        "clinician_id": clinician_id,
        "token": claim_tokens.next_value(),
        "claimed_at": now,
        "expires_at": now + timedelta(seconds=lifetime),
    }
    claim = session.scalar(
        insert(ReviewClaim)
        .values(case_id=case_id, **lent)
        .on_conflict_do_update(
            index_elements=[ReviewClaim.case_id],
            set_=lent,
            where=or_(ReviewClaim.expires_at <= now, ReviewClaim.clinician_id == clinician_id),
        )
        .returning(ReviewClaim)
        .execution_options(populate_existing=True)
    )
    if claim is not None:
        record_audit(session, clinician_id, "case.claimed", case_id)
    return claim


def lock_claim(
    session: Session, case_id: UUID, clinician_id: UUID, token: int, now: datetime
) -> ReviewClaim:
    """Return a claim that still holds, locked until the caller's transaction ends.

    Raises
    ------
    Conflict
        If it holds no more.
    """
    claim = session.scalar(
        select(ReviewClaim)
        .where(
            ReviewClaim.case_id == case_id,
            ReviewClaim.clinician_id == clinician_id,
            ReviewClaim.token == token,
            ReviewClaim.expires_at > now,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if claim is None:
        raise Conflict(
            "Your claim on this case does not hold any more.",
            remedy="Claim the case again.",
            code="claim_lost",
        )
    return claim


def record_audit(
    session: Session, clinician_id: UUID, action: str, case_id: UUID, **detail: object
) -> None:
    """Record what a clinician did with a case."""
    audit.record(
        session,
        actor_kind="clinician",
        actor_id=clinician_id,
        action=action,
        case_id=case_id,
        **detail,
    )
