"""Clinicians' decisions on cases."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.cases.decisions import current_decision
from dermtriage.cases.events import TriageCause, case_status, record_event
from dermtriage.core.enums import CaseState, Outcome, may_become
from dermtriage.core.errors import Conflict
from dermtriage.models import Case, Decision
from dermtriage.releases.queries import active_policy
from dermtriage.review.claims import lock_case, lock_claim
from dermtriage.triage.case_severity import most_urgent


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
    """Store a clinician's decision, and end the claim.

    Parameters
    ----------
    token
        Fencing token of the clinician's claim.
    triage_version
        As the clinician saw it: if the severity has risen since, the case must be read again.
    supersedes_id
        The current decision, if the case is decided already.

    Raises
    ------
    NotFound
        If there is no such case.
    Conflict
        If the claim is lost, the severity rose, the case has another decision by now, or a
        retake is requested that has already arrived.
    """
    case = lock_case(session, case_id)
    claim = lock_claim(session, case_id, clinician_id, token, now)
    if case.triage_version != triage_version:
        raise Conflict(
            "The severity of this case rose after you opened it.",
            remedy="Read the case again, then decide.",
            code="severity_rose",
        )
    supersedes_id = _superseded(session, case, supersedes_id)
    if outcome is Outcome.RETAKE:
        _require_no_retake(session, case_id)
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
        # A decided case keeps its severity, but the clinician has seen its latest one as well.
        severity_at_decision=most_urgent(case.severity, case.latest_severity),
        triage_version=triage_version,
        claim_token=token,
        decided_at=now,
    )
    session.add(decision)
    policy_id, _ = active_policy(session)
    before = case_status(case)
    case.state, case.changed_at = state, now
    record_event(session, case, "decided", TriageCause(policy_id), before=before)
    session.delete(claim)
    session.flush()
    audit.record(
        session,
        actor_kind="clinician",
        actor_id=clinician_id,
        action="case.decided",
        case_id=case_id,
        decision_id=decision.id,
    )
    return decision


def _superseded(session: Session, case: Case, supersedes_id: UUID | None) -> UUID | None:
    """Return the id of the decision that a new one replaces; None if it is the first.

    The decision of a recalled case is replaced whether or not it is named.
    """
    current = current_decision(session, case.id)
    if case.state is CaseState.OPEN:
        return current.id if current else None
    if current is None or supersedes_id != current.id:
        raise Conflict(
            "The case has been decided.",
            remedy="To correct that decision, name it in supersedes_id.",
            code="already_decided",
        )
    return current.id


def _require_no_retake(session: Session, case_id: UUID) -> None:
    # A case can be replaced only once: it would wait forever for a second retake.
    retake = session.scalar(select(Case.id).where(Case.replaces_case_id == case_id))
    if retake is not None:
        raise Conflict(
            f"The retake of this case has arrived: it is case {retake}.",
            remedy="Decide this case by its photographs, and request a further retake there.",
            code="retake_arrived",
        )
