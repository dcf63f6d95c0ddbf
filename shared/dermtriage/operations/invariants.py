"""What must be true of all rows: checked each night, one function per invariant.

Constraints hold what one row can contradict; these need several. Each function returns the query
of the rows that break its invariant, and its docstring is the sentence that people read.
"""

# ruff: noqa: D401 - the docstrings say what is true, not what the functions do

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, exists, func, or_, select, text, true
from sqlalchemy.orm import Session, aliased

from dermtriage.accounts import audit
from dermtriage.core.enums import CaseState, Outcome, RunState, Scoring, Severity
from dermtriage.models import (
    IS_OPEN,
    Assessment,
    Case,
    Decision,
    Image,
    PendingImage,
    RescoreChunk,
    RescoreRun,
    TriageEvent,
)

logger = logging.getLogger(__name__)

Invariant = Callable[[], Select[Any]]


def pending_images_are_queued() -> Select[Any]:
    """An image is in the queue exactly if it is pending and its case is not withdrawn."""
    waits = (Image.scoring == Scoring.PENDING) & (Case.state != CaseState.WITHDRAWN)
    return (
        select(Image.id)
        .join(Case, Case.id == Image.case_id)
        .outerjoin(PendingImage, PendingImage.image_id == Image.id)
        .where(waits != PendingImage.image_id.is_not(None))
    )


def scored_images_have_their_assessment() -> Select[Any]:
    """A scored image has the assessment that triaged it."""
    assessed = exists().where(
        Assessment.image_id == Image.id, Assessment.release_id == Image.release_id
    )
    return select(Image.id).where(Image.scoring == Scoring.SCORED, ~assessed)


def severe_images_make_open_cases_severe() -> Select[Any]:
    """An open case with a severe image is severe."""
    severe_image = exists().where(Image.case_id == Case.id, Image.severity == Severity.SEVERE)
    return select(Case.id).where(IS_OPEN, Case.severity != Severity.SEVERE, severe_image)


def missing_scores_make_open_cases_unscored() -> Select[Any]:
    """The latest severity of an open case without all its scores is severe or unscored."""
    not_scored = exists().where(
        Image.case_id == Case.id, Image.scoring.in_((Scoring.PENDING, Scoring.FAILED))
    )
    return select(Case.id).where(
        IS_OPEN,
        Case.latest_severity.not_in((Severity.SEVERE, Severity.UNSCORED)),
        not_scored,
    )


def cases_have_images() -> Select[Any]:
    """A case has at least one image."""
    return select(Case.id).where(~exists().where(Image.case_id == Case.id))


def cases_agree_with_their_last_event() -> Select[Any]:
    """State, severity and lane of a case are those of its last event."""
    last = (
        select(TriageEvent.to_state, TriageEvent.to_severity, TriageEvent.to_lane)
        .where(TriageEvent.case_id == Case.id)
        .order_by(TriageEvent.id.desc())
        .limit(1)
        .lateral()
    )
    return (
        select(Case.id)
        .outerjoin(last, true())
        .where(
            or_(
                Case.state.is_distinct_from(last.c.to_state),
                Case.severity.is_distinct_from(last.c.to_severity),
                Case.lane.is_distinct_from(last.c.to_lane),
            )
        )
    )


def decided_cases_have_a_decision() -> Select[Any]:
    """A case that is decided or awaits a retake has a decision."""
    return select(Case.id).where(
        Case.state.in_((CaseState.DECIDED, CaseState.AWAITING_RETAKE)),
        ~exists().where(Decision.case_id == Case.id),
    )


def awaited_retakes_were_requested() -> Select[Any]:
    """A case that awaits a retake has a decision that requested one."""
    requested = exists().where(Decision.case_id == Case.id, Decision.outcome == Outcome.RETAKE)
    return select(Case.id).where(Case.state == CaseState.AWAITING_RETAKE, ~requested)


def cases_have_one_current_decision() -> Select[Any]:
    """A case has at most one decision that no other one supersedes."""
    later = aliased(Decision)
    return (
        select(Decision.case_id)
        .where(~exists().where(later.supersedes_id == Decision.id))
        .group_by(Decision.case_id)
        .having(func.count() > 1)
    )


def finished_runs_have_done_their_chunks() -> Select[Any]:
    """Every chunk of a finished rescore run is done."""
    unfinished = exists().where(
        RescoreChunk.run_id == RescoreRun.id, RescoreChunk.done_at.is_(None)
    )
    return select(RescoreRun.id).where(RescoreRun.state == RunState.FINISHED, unfinished)


def open_cases_have_an_ageing_time() -> Select[Any]:
    """An open case below lane 1 has a time at which waiting raises its lane."""
    return select(Case.id).where(IS_OPEN, Case.lane > 1, Case.ages_at.is_(None))


INVARIANTS: tuple[Invariant, ...] = (
    pending_images_are_queued,
    scored_images_have_their_assessment,
    severe_images_make_open_cases_severe,
    missing_scores_make_open_cases_unscored,
    cases_have_images,
    cases_agree_with_their_last_event,
    decided_cases_have_a_decision,
    awaited_retakes_were_requested,
    cases_have_one_current_decision,
    finished_runs_have_done_their_chunks,
    open_cases_have_an_ageing_time,
)


def check_invariants(session: Session, *, examples: int = 5) -> dict[str, list[str]]:
    """Check all invariants.

    The number of broken ones is recorded in the audit log, where the metrics read it.

    Parameters
    ----------
    examples
        The most ids to return for each.

    Returns
    -------
    dict
        For each broken invariant its function's name, and ids of rows that break it; empty if
        all hold.
    """
    broken: dict[str, list[str]] = {}
    # They read whole tables: over a large database this takes longer than any other statement may.
    session.execute(text("SET LOCAL statement_timeout = '1h'"))
    for invariant in INVARIANTS:
        found = session.scalars(invariant().limit(examples))
        if ids := [str(found_id) for found_id in found]:
            broken[invariant.__name__] = ids
            logger.error(
                "invariant broken",
                extra={
                    "invariant": invariant.__name__,
                    "meaning": invariant.__doc__,
                    "examples": ids,
                },
            )
    audit.record(
        session,
        actor_kind="operator",
        actor_id=None,
        action="invariants.checked",
        broken=len(broken),
    )
    return broken
