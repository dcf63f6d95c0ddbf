"""The clinicians' side: claim a case, decide it."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage import audit
from dermtriage.errors import Conflict, NotFound
from dermtriage.models import IS_OPEN, Case, Decision, ReviewClaim, TriageEvent, review_tokens
from dermtriage.placement import current_decision
from dermtriage.releases import active_policy
from dermtriage.states import CaseState, Outcome, may_become
from dermtriage.triage import most_urgent


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
    case = _locked(session, case_id)
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
    claim = _held(session, case_id, clinician_id, token, now)
    claim.expires_at = now + timedelta(seconds=lifetime)
    return claim


def release_claim(session: Session, *, case_id: UUID, clinician_id: UUID, token: int) -> None:
    """Give a case back to the worklist; it is no error if the claim holds no more."""
    _locked(session, case_id)
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
        _audit(session, clinician_id, "case.released", case_id)


def decide(
    session: Session,
    *,
    case_id: UUID,
    clinician_id: UUID,
    token: int,
    triage_version: int,
    outcome: Outcome,
    advice: str = "",
    diagnosis: str | None = None,
    supersedes_id: UUID | None = None,
    now: datetime,
) -> Decision:
    """Write down what a clinician decided.

    Parameters
    ----------
    token
        Of the clinician's claim.
    triage_version
        As the clinician saw it: a case that has risen since must be looked at again.
    supersedes_id
        The decision to be replaced, if the case has one that stands.

    Raises
    ------
    NotFound
        If there is no such case.
    Conflict
        If the claim was lost, the severity rose, the case has another decision by now, or a
        retake is asked for that has already come.
    """
    case = _locked(session, case_id)
    claim = _held(session, case_id, clinician_id, token, now)
    if case.triage_version != triage_version:
        raise Conflict(
            "The severity of this case rose after you opened it.",
            remedy="Read the case again, then decide.",
            code="severity_rose",
        )
    standing = current_decision(session, case_id)
    if case.state is CaseState.OPEN:
        # A recalled case has a decision; the new one replaces it, named or not.
        supersedes_id = standing.id if standing else None
    elif standing is None or supersedes_id != standing.id:
        raise Conflict(
            "The case has been decided.",
            remedy="To correct that decision, name it in supersedes_id.",
            code="already_decided",
        )
    if outcome is Outcome.RETAKE:
        _refuse_second_retake(session, case_id)
    state = CaseState.AWAITING_RETAKE if outcome is Outcome.RETAKE else CaseState.DECIDED
    if state is not case.state and not may_become(case.state, state):
        raise Conflict(
            f"A case that is {case.state} cannot become {state}.",
            remedy="Read the case again.",
            code="wrong_state",
        )
    decision = Decision(
        case_id=case_id,
        clinician_id=clinician_id,
        outcome=outcome,
        advice=advice,
        diagnosis=diagnosis,
        supersedes_id=supersedes_id,
        # What was seen: a decided case keeps its severity, whatever its latest score said.
        severity_at_decision=most_urgent(case.severity, case.latest_severity),
        triage_version=triage_version,
        claim_token=token,
        decided_at=now,
    )
    session.add(decision)
    _write_event(session, case, state)
    case.state, case.changed_at = state, now
    session.delete(claim)
    session.flush()
    _audit(session, clinician_id, "case.decided", case_id, decision_id=decision.id)
    return decision


def _locked(session: Session, case_id: UUID) -> Case:
    case = session.get(Case, case_id, with_for_update=True, populate_existing=True)
    if case is None:
        raise NotFound("There is no such case.", remedy="Check its id.", code="case_not_found")
    return case


def _lend(
    session: Session, case_id: UUID, clinician_id: UUID, now: datetime, lifetime: float
) -> ReviewClaim | None:
    lent = {
        "clinician_id": clinician_id,
        "token": review_tokens.next_value(),
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
        _audit(session, clinician_id, "case.claimed", case_id)
    return claim


def _held(
    session: Session, case_id: UUID, clinician_id: UUID, token: int, now: datetime
) -> ReviewClaim:
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


def _refuse_second_retake(session: Session, case_id: UUID) -> None:
    # A case is replaced once: it would wait for good for what no clinic can send.
    retake = session.scalar(select(Case.id).where(Case.replaces_case_id == case_id))
    if retake is not None:
        raise Conflict(
            f"The retake of this case has come: it is case {retake}.",
            remedy="Decide here by what there is, and ask for a further retake there.",
            code="retake_arrived",
        )


def _write_event(session: Session, case: Case, state: CaseState) -> None:
    policy_id, _ = active_policy(session)
    session.add(
        TriageEvent(
            case_id=case.id,
            kind="decided",
            from_severity=case.severity,
            to_severity=case.severity,
            from_lane=case.lane,
            to_lane=case.lane,
            from_state=case.state,
            to_state=state,
            policy_id=policy_id,
        )
    )


def _audit(
    session: Session, clinician_id: UUID, action: str, case_id: UUID, **detail: object
) -> None:
    audit.record(
        session,
        actor_kind="clinician",
        actor_id=clinician_id,
        action=action,
        case_id=case_id,
        **detail,
    )
