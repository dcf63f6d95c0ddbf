"""The policy: thresholds, due intervals and working days."""

from datetime import date
from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermtriage.core.settings import TimeZone


class Policy(BaseModel):
    """Thresholds, which range from 0 to 1, and due intervals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lower: float = Field(ge=0, le=1, description="p_severe below this is low")
    upper: float = Field(ge=0, le=1, description="p_severe at or above this is severe")
    disagreement: float = Field(ge=0, le=1, description="More than this raises low")
    out_of_scope: float | None = Field(
        default=None, ge=0, le=1, description="More than this raises low; None: no limit"
    )
    due_working_days: tuple[int, int, int, int] = Field(
        default=(1, 2, 2, 5), description="Working days to a decision, per lane"
    )
    workdays: frozenset[int] = Field(
        default=frozenset(range(5)), min_length=1, description="Monday is 0"
    )
    holidays: frozenset[date] = frozenset()
    timezone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _ordered(self) -> "Policy":
        if self.lower > self.upper:
            raise ValueError("the lower threshold lies above the upper one")
        if min(self.due_working_days) < 1 or any(a > b for a, b in pairwise(self.due_working_days)):
            raise ValueError("a more urgent lane may not have a longer due interval")
        if not self.workdays <= frozenset(range(7)):
            raise ValueError("workdays are numbers from 0 (Monday) to 6")
        return self
