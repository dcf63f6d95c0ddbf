"""Decisions of clinicians."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.cases.decisions import current_decision
from dermtriage.cases.events import TriageCause, case_status, record_event
from dermtriage.core.enums import CaseState, Outcome, may_become
from dermtriage.core.errors import Conflict
from dermtriage.models import Case, Decision
from dermtriage.releases.queries import active_policy
from dermtriage.review.claims import lock_case, lock_claim, record_audit
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
    case = lock_case(session, case_id)
    claim = lock_claim(session, case_id, clinician_id, token, now)
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
    policy_id, _ = active_policy(session)
    before = case_status(case)
    case.state, case.changed_at = state, now
    record_event(session, case, "decided", TriageCause(policy_id), before=before)
    session.delete(claim)
    session.flush()
    record_audit(session, clinician_id, "case.decided", case_id, decision_id=decision.id)
    return decision


def _refuse_second_retake(session: Session, case_id: UUID) -> None:
    # A case is replaced once: it would wait for good for what no clinic can send.
    retake = session.scalar(select(Case.id).where(Case.replaces_case_id == case_id))
    if retake is not None:
        raise Conflict(
            f"The retake of this case has come: it is case {retake}.",
            remedy="Decide here by what there is, and ask for a further retake there.",
            code="retake_arrived",
        )
