"""Checks the order of a worklist, from the responses of the API alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Self
from uuid import UUID

from dermtriage.core.enums import Priority, Severity
from dermtriage.triage.lanes import base_lane


@dataclass(frozen=True, slots=True)
class Line:
    """The fields of a worklist line that decide its place."""

    case_id: UUID
    lane: int
    severity: Severity
    priority: Priority
    due_at: datetime

    @classmethod
    def of(cls, item: dict[str, Any]) -> Self:
        """Read a line of the API's response."""
        return cls(
            UUID(item["case_id"]),
            int(item["lane"]),
            Severity(item["severity"]),
            Priority(item["priority"]),
            datetime.fromisoformat(item["due_at"]),
        )


def order_faults(lines: Sequence[Line]) -> list[str]:
    """Return what is wrong with a worklist of new cases, in words; empty if nothing is.

    From the top, (lane, due time, id) must not decrease. A case belongs in the more urgent of the
    lanes of its severity and of its requested priority; no case has aged yet.
    """
    faults = [
        f"Case {after.case_id} is below {before.case_id}, but more urgent."
        for before, after in pairwise(lines)
        if _key(after) < _key(before)
    ]
    for line in lines:
        lane = base_lane(line.severity, line.priority)
        if line.lane != lane:
            faults.append(
                f"Case {line.case_id} has severity {line.severity} and priority {line.priority}:"
                f" it belongs in lane {int(lane)}, but is in lane {line.lane}."
            )
    return faults


def _key(line: Line) -> tuple[int, datetime, UUID]:
    return line.lane, line.due_at, line.case_id
