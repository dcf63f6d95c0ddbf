"""The report of a rescore run that has ended, as it is stored and shown."""

from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, computed_field

from dermtriage.core.enums import RunState, Severity

BINS = 20
"""Number of bins of the histogram of score changes, from -1 to 1."""

MAX_GAP = timedelta(minutes=10)
"""Longest time between two writes that counts as work: after it the run was paused or waiting."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Transition(_Part):
    """Number of cases that a run raised from one severity to another."""

    before: str
    after: str
    cases: int


class Compared(_Part):
    """Number of photographs that were compared with the scores of one earlier release."""

    release: str
    photographs: int


class Drift(_Part):
    """How far the scores moved from those of the release that had triaged each photograph before.

    Attributes
    ----------
    photographs
        Number of photographs that the run scored and that could be compared.
    mean, mean_absolute
        Mean change of `p_severe`, -1..1, and mean absolute change, 0..1; None without photographs.
    histogram
        Photographs by change, in `BINS` equal bins from -1 to 1.
    compared
        The earlier releases, most photographs first; empty in older reports.
    """

    photographs: int
    mean: float | None
    mean_absolute: float | None
    histogram: list[int]
    compared: list[Compared] = []


class Failure(_Part):
    """Number of images that could not be scored for one reason."""

    reason: str
    images: int


class RunReport(_Part):
    """What a run did. Times are aware, durations in seconds.

    Attributes
    ----------
    triaged
        Whether its release was the active one when the report was written.
    upgrades, recalls
        Numbers of cases, not of events.
    seconds
        From the first chunk to the end, pauses included.
    working_seconds
        Without gaps longer than `MAX_GAP`; None in older reports.
    images_per_second
        Scored images per working second; None if the run did no work.
    """

    release: str
    triaged: bool
    state: RunState
    images: int
    scored: int
    failed: int
    upgrades: int
    recalls: int
    started_at: AwareDatetime | None
    ended_at: AwareDatetime
    seconds: float
    working_seconds: float | None = None
    images_per_second: float | None
    transitions: list[Transition]
    failures: list[Failure]
    drift: Drift

    @computed_field  # type: ignore[prop-decorator]
    @property
    def matrix(self) -> dict[str, dict[str, int]]:
        """Cases by severity before and after, the most urgent first; every pair is present."""
        moves = {(move.before, move.after): move.cases for move in self.transitions}
        return {
            before.value: {after.value: moves.get((before, after), 0) for after in Severity}
            for before in Severity
        }
