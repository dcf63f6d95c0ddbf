"""The filter of a rescore run: which cases it covers, and which of their images need scoring."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator
from sqlalchemy import ColumnElement, and_, exists, or_, select, true

from dermtriage.core.enums import CaseState, Scoring
from dermtriage.models import Assessment, Case, Image, Release


class Scope(BaseModel):
    """Which cases a run covers; withdrawn cases never are.

    Attributes
    ----------
    kind
        `open`: open cases and those that await a retake; `all`: these and the decided ones;
        `since`: cases received at or after a moment; `clinic`: the cases of one clinic.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["open", "all", "since", "clinic"] = "open"
    since: AwareDatetime | None = None
    clinic_id: UUID | None = None

    @model_validator(mode="after")
    def _check_fields(self) -> "Scope":
        if (self.kind == "since") != (self.since is not None):
            raise ValueError("`since` needs the kind `since`, and that kind needs `since`")
        if (self.kind == "clinic") != (self.clinic_id is not None):
            raise ValueError("`clinic_id` needs the kind `clinic`, and that kind needs `clinic_id`")
        return self


OPEN = Scope()


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that a case is in scope."""
    if scope.kind == "open":
        return Case.state.in_((CaseState.OPEN, CaseState.AWAITING_RETAKE))
    return and_(
        Case.state != CaseState.WITHDRAWN,
        Case.received_at >= scope.since if scope.since is not None else true(),
        Case.clinic_id == scope.clinic_id if scope.clinic_id is not None else true(),
    )


def needs_rescoring(release_id: int) -> ColumnElement[bool]:
    """Return the condition that a run with this release has to do something for an image.

    Either the release has not assessed the image, or its assessment was recorded while it was a
    shadow and now has to triage. An image without its first score is not covered: uploads score
    it, or it has failed there.
    """
    assessed = exists().where(Assessment.release_id == release_id, Assessment.image_id == Image.id)
    triages = exists(select(Release.id).where(Release.id == release_id, Release.mode == "active"))
    return and_(
        Image.scoring == Scoring.SCORED,
        or_(~assessed, and_(triages, Image.release_id != release_id)),
    )
