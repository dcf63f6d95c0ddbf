"""What is kept of a rescore run that has ended."""

from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, computed_field

from dermtriage.core.enums import RunState, Severity

BINS = 20
"""Of the histogram of how far scores moved, from -1 to 1."""

STANDSTILL = timedelta(minutes=10)
"""A run that has written nothing for longer stood still: paused, unconfirmed or in an outage."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Transition(_Part):
    """Cases that a run raised from one severity to another, from its first change to its last."""

    before: str
    after: str
    cases: int


class Compared(_Part):
    """A release that an image was compared with, and how many were."""

    release: str
    photographs: int


class Drift(_Part):
    """How far the scores moved from the release that had triaged each image before.

    Attributes
    ----------
    photographs
        That the run scored, and that could be compared: see `figures.drift`.
    mean, mean_absolute
        Of the change of p_severe, -1..1 and 0..1.
    histogram
        Photographs by change, in `BINS` equal bins from -1 to 1.
    compared
        What with, most photographs first; reports of before have it empty.
    """

    photographs: int
    mean: float | None
    mean_absolute: float | None
    histogram: list[int]
    compared: list[Compared] = []


class Failure(_Part):
    """Why images could not be scored, and how many."""

    reason: str
    images: int


class RunReport(_Part):
    """What a run did. Times are aware, durations in seconds.

    Attributes
    ----------
    triaged
        Whether its release was the active one when the report was written, right after the end.
    upgrades, recalls
        Cases, not events.
    seconds
        From the first chunk to the end, whatever the run waited for meanwhile.
    working_seconds
        Without what is longer than `STANDSTILL`; reports of before do not know.
    images_per_second
        Over `working_seconds`.
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
        """The transitions as from -> to -> cases, the most urgent first, with every zero."""
        moves = {(move.before, move.after): move.cases for move in self.transitions}
        return {
            before.value: {after.value: moves.get((before, after), 0) for after in Severity}
            for before in Severity
        }
