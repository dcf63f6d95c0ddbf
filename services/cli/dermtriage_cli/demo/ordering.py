"""Is the worklist in the order that was promised? Judged from what the API shows, and no more."""

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
    """One line of the worklist, as far as its place goes."""

    case_id: UUID
    lane: int
    severity: Severity
    priority: Priority
    due_at: datetime

    @classmethod
    def of(cls, item: dict[str, Any]) -> Self:
        """Read a line of the API's answer."""
        return cls(
            UUID(item["case_id"]),
            int(item["lane"]),
            Severity(item["severity"]),
            Priority(item["priority"]),
            datetime.fromisoformat(item["due_at"]),
        )


def faults(lines: Sequence[Line]) -> list[str]:
    """Return what is wrong with a worklist of cases that have just come in; nothing if right.

    Read from the top, (lane, due time, id) never falls. A case stands in the more urgent of the
    lanes of its severity and of what its referrer asked for; none of them has aged yet.
    """
    wrong = [
        f"Case {after.case_id} stands behind {before.case_id}, but is more urgent."
        for before, after in pairwise(lines)
        if _key(after) < _key(before)
    ]
    for line in lines:
        lane = base_lane(line.severity, line.priority)
        if line.lane != lane:
            wrong.append(
                f"Case {line.case_id} is {line.severity} and was asked for as {line.priority}:"
                f" it belongs into lane {int(lane)} and stands in lane {line.lane}."
            )
    return wrong


def _key(line: Line) -> tuple[int, datetime, UUID]:
    return line.lane, line.due_at, line.case_id
