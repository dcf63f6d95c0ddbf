"""Clinicians' claims on cases: take, renew, release."""

from datetime import datetime, timedelta
from time import monotonic, sleep
from uuid import UUID

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.core.enums import CaseState
from dermtriage.core.errors import Conflict, NotFound, Unavailable
from dermtriage.models import IS_OPEN, Case, ReviewClaim, claim_tokens

_LOOK_AGAIN = 0.02
"""Seconds after which a locked case is looked at again; most transactions take less."""


def claim_next(
    session: Session,
    *,
    clinician_id: UUID,
    now: datetime,
    lifetime: float,
    patience: float = 1.0,
) -> ReviewClaim | None:
    """Claim the first unclaimed case of the worklist; None if there is none.

    A case whose row is locked, because triage or another clinician is changing it, is waited for:
    a less urgent one must not be claimed in its place.

    Parameters
    ----------
    lifetime
        Seconds until the claim expires.
    patience
        Seconds to wait for locked cases. After that the first case that is not locked is claimed.

    Raises
    ------
    Unavailable
        If every unclaimed case stayed locked.
    """
    first_unclaimed = (
        select(Case.id)
        .where(
            IS_OPEN,
            ~exists().where(ReviewClaim.case_id == Case.id, ReviewClaim.expires_at > now),
        )
        .order_by(Case.lane, Case.due_at, Case.id)
        .limit(1)
    )
    give_up_at = monotonic() + patience
    while (case_id := session.scalar(first_unclaimed)) is not None:
        if monotonic() > give_up_at:
            case_id = session.scalar(first_unclaimed.with_for_update(skip_locked=True))
            if case_id is None:
                raise Unavailable(
                    "The cases that are left are being changed at this moment.",
                    code="cases_locked",
                )
        elif not _lock_if_free(session, case_id):
            sleep(_LOOK_AGAIN)
            continue
        # Another clinician may have claimed it between the two statements.
        claim = _claim(session, case_id, clinician_id, now, lifetime)
        if claim is not None:
            return claim
    return None


def claim_case(
    session: Session, *, case_id: UUID, clinician_id: UUID, now: datetime, lifetime: float
) -> ReviewClaim:
    """Claim one case; a decided one too, so that its decision can be superseded.

    Raises
    ------
    NotFound
        If there is no such case.
    Conflict
        If another clinician has claimed it, or it was withdrawn.
    """
    case = lock_case(session, case_id)
    if case.state is CaseState.WITHDRAWN:
        raise Conflict("The case was withdrawn.", remedy="Take another.", code="withdrawn")
    claim = _claim(session, case_id, clinician_id, now, lifetime)
    if claim is None:
        raise Conflict(
            "Another clinician has claimed this case.",
            remedy="Take another, or wait until the claim expires.",
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
    """Prolong a claim until `lifetime` seconds from now.

    Raises
    ------
    Conflict
        If it has expired, or was released or replaced.
    """
    claim = lock_claim(session, case_id, clinician_id, token, now)
    claim.expires_at = now + timedelta(seconds=lifetime)
    return claim


def release_claim(session: Session, *, case_id: UUID, clinician_id: UUID, token: int) -> None:
    """Give a case back to the worklist; a claim that exists no more is no error.

    Raises
    ------
    NotFound
        If there is no such case.
    """
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
        audit.record(
            session,
            actor_kind="clinician",
            actor_id=clinician_id,
            action="case.released",
            case_id=case_id,
        )


def _lock_if_free(session: Session, case_id: UUID) -> bool:
    """Lock an open case, unless it is locked or no longer open."""
    statement = select(Case.id).where(Case.id == case_id, IS_OPEN).with_for_update(skip_locked=True)
    return session.scalar(statement) is not None


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


def lock_claim(
    session: Session, case_id: UUID, clinician_id: UUID, token: int, now: datetime
) -> ReviewClaim:
    """Return a valid claim, locked until the caller's transaction ends.

    Raises
    ------
    Conflict
        If it has expired, or was released or replaced.
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
            "Your claim on this case is not valid any more.",
            remedy="Claim the case again.",
            code="claim_lost",
        )
    return claim


def _claim(
    session: Session, case_id: UUID, clinician_id: UUID, now: datetime, lifetime: float
) -> ReviewClaim | None:
    """Insert a claim, or replace one that has expired or is the clinician's own; else None."""
    values = {
        "clinician_id": clinician_id,
        "token": claim_tokens.next_value(),
        "claimed_at": now,
        "expires_at": now + timedelta(seconds=lifetime),
    }
    claim = session.scalar(
        insert(ReviewClaim)
        .values(case_id=case_id, **values)
        .on_conflict_do_update(
            index_elements=[ReviewClaim.case_id],
            set_=values,
            where=or_(ReviewClaim.expires_at <= now, ReviewClaim.clinician_id == clinician_id),
        )
        .returning(ReviewClaim)
        .execution_options(populate_existing=True)
    )
    if claim is not None:
        audit.record(
            session,
            actor_kind="clinician",
            actor_id=clinician_id,
            action="case.claimed",
            case_id=case_id,
        )
    return claim
