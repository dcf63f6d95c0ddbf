"""A run that recalls many cases is paused until an operator confirms its recalls."""

import logging
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dermtriage.core.enums import RunState
from dermtriage.core.errors import Conflict
from dermtriage.models import RescoreRun

logger = logging.getLogger(__name__)

FEW_RECALLS = 10
"""Recalls that never pause a run, however large a share of a small run they are."""


def count_recalls(session: Session, run_id: UUID, recalls: int, *, share: float) -> None:
    """Add recalls to a run, and pause it if they have become too many.

    Parameters
    ----------
    share
        The run is paused above this share of its images, 0..1, unless an operator has confirmed
        its recalls.
    """
    run = session.scalars(
        update(RescoreRun)
        .where(RescoreRun.id == run_id)
        .values(recalls=RescoreRun.recalls + recalls)
        .returning(RescoreRun)
        .execution_options(populate_existing=True)
    ).one()
    too_many = run.recalls > max(FEW_RECALLS, share * run.images)
    if too_many and run.recalls_confirmed is None and run.state is RunState.RUNNING:
        run.state, run.recalls_confirmed = RunState.PAUSED, False
        run.reason = (
            f"{run.recalls} of at most {run.images} images have recalled a case:"
            " someone has to confirm that this is right."
        )
        logger.warning("run paused", extra={"run_id": run.id, "recalls": run.recalls})


def awaits_confirmation(run: RescoreRun) -> bool:
    """Whether a run is paused because of its recalls, and nobody has confirmed them."""
    return run.state is RunState.PAUSED and run.recalls_confirmed is False


def require_confirmed(session: Session, release_id: int) -> None:
    """Check that no run of this release awaits confirmation: a new run must not bypass it.

    Raises
    ------
    Conflict
        If there is such a run.
    """
    unconfirmed = session.scalar(
        select(RescoreRun.id)
        .where(
            RescoreRun.release_id == release_id,
            RescoreRun.state == RunState.PAUSED,
            RescoreRun.recalls_confirmed.is_(False),
        )
        .limit(1)
    )
    if unconfirmed is not None:
        raise Conflict(
            f"Run {unconfirmed} of the same release has recalled many cases, and nobody has"
            " confirmed that this is right.",
            remedy=f"Confirm it with `dermtriage rescore resume {unconfirmed}`, or end it with"
            f" `dermtriage rescore cancel {unconfirmed}`.",
            code="recalls_unconfirmed",
        )
