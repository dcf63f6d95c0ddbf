"""Which images a rescore run is about, and which of them it has still to score."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator
from sqlalchemy import ColumnElement, and_, exists, or_, select, true

from dermtriage.core.enums import CaseState, Scoring
from dermtriage.models import Assessment, Case, Image, Release

_UNDECIDED = (CaseState.OPEN, CaseState.AWAITING_RETAKE)


class Scope(BaseModel):
    """Which cases a run is about; none that was withdrawn ever is.

    Attributes
    ----------
    kind
        `open`: cases without a decision that ends them; `all`: these and the decided ones;
        `since`: cases received from a moment on; `clinic`: the cases of one clinic.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["open", "all", "since", "clinic"] = "open"
    since: AwareDatetime | None = None
    clinic_id: UUID | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Scope":
        if (self.kind == "since") != (self.since is not None):
            raise ValueError("`since` goes with a moment, and a moment with it alone")
        if (self.kind == "clinic") != (self.clinic_id is not None):
            raise ValueError("`clinic` goes with a clinic, and a clinic with it alone")
        return self


OPEN = Scope()


def within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition on a case that it is in scope."""
    if scope.kind == "open":
        return Case.state.in_(_UNDECIDED)
    kept = Case.state != CaseState.WITHDRAWN
    return and_(
        kept,
        Case.received_at >= scope.since if scope.since is not None else true(),
        Case.clinic_id == scope.clinic_id if scope.clinic_id is not None else true(),
    )


def unscored_by(release_id: int) -> ColumnElement[bool]:
    """Return the condition on an image that a run with this release has work with it.

    The release has not said anything of it, or has said so as a shadow and triages now. What
    waits for its first score gets it from the queue of uploads, and what failed there from
    nobody.
    """
    assessed = exists().where(Assessment.release_id == release_id, Assessment.image_id == Image.id)
    triages = exists(select(Release.id).where(Release.id == release_id, Release.mode == "active"))
    return and_(
        Image.scoring == Scoring.SCORED,
        or_(~assessed, and_(triages, Image.release_id != release_id)),
    )
