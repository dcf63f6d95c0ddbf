"""The worklist."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.core.enums import Priority, Severity
from dermtriage.review.worklist import Item, Page
from dermtriage_api.schemas.common import CASE_ID, CLINIC_ID, IMAGE_ID, example

WORKLIST_ITEM_EXAMPLE = {
    "case_id": CASE_ID,
    "clinic_id": CLINIC_ID,
    "clinic_name": "Aldea Norte",
    "received_at": "2026-03-01T08:15:30Z",
    "priority": "routine",
    "severity": "severe",
    "latest_severity": "severe",
    "lane": 0,
    "due_at": "2026-03-02T08:15:30Z",
    "overdue": False,
    "triage_version": 1,
    "recalled_at": None,
    "image_ids": [IMAGE_ID],
    "claimed_by": "m.okafor",
    "claim_expires_at": "2026-03-02T09:45:00Z",
}


class WorklistItemView(BaseModel):
    """One case in the worklist."""

    model_config = example(**WORKLIST_ITEM_EXAMPLE)

    case_id: UUID
    clinic_id: UUID
    clinic_name: str
    received_at: datetime
    priority: Priority
    severity: Severity = Field(description="Only rises while the case is open.")
    latest_severity: Severity = Field(description="By the latest assessments; may be lower.")
    lane: int = Field(ge=0, le=3, description="0 is the most urgent.")
    due_at: datetime
    overdue: bool
    triage_version: int
    recalled_at: datetime | None
    image_ids: list[UUID]
    claimed_by: str | None = Field(description="Username of the clinician who holds the claim.")
    claim_expires_at: datetime | None

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return the view of an item."""
        case = item.case
        return cls(
            case_id=case.id,
            clinic_id=case.clinic_id,
            clinic_name=item.clinic_name,
            received_at=case.received_at,
            priority=case.priority,
            severity=case.severity,
            latest_severity=case.latest_severity,
            lane=case.lane,
            due_at=case.due_at,
            overdue=item.overdue,
            triage_version=case.triage_version,
            recalled_at=case.recalled_at,
            image_ids=[image.id for image in case.images],
            claimed_by=item.claimed_by,
            claim_expires_at=item.claim_expires_at,
        )


class WorklistView(BaseModel):
    """A page of the worklist, the most urgent case first."""

    model_config = example(items=[WORKLIST_ITEM_EXAMPLE], next_cursor=None)

    items: list[WorklistItemView]
    next_cursor: str | None = Field(description="Null on the last page.")

    @classmethod
    def of(cls, page: Page) -> Self:
        """Return the view of a page."""
        items = [WorklistItemView.of(item) for item in page.items]
        return cls(items=items, next_cursor=page.next_cursor)
