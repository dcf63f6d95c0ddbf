"""Count what a policy replay changes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from dermtriage.core.enums import CaseState, Severity
from dermtriage.retriage.replay import ReplayedCase


@dataclass(slots=True)
class Tally:
    """Numbers of cases that a policy changes.

    Attributes
    ----------
    cases
        All to which it was applied; withdrawn ones are not among them.
    changed
        Those that get an event: another severity, lane or state.
    recalled
        Those that were decided, or awaited a retake, and are open again.
    lowered
        Open ones whose severity or lane falls.
    transitions
        Open cases by (severity before, severity after), unchanged ones too.
    """

    cases: int = 0
    changed: int = 0
    recalled: int = 0
    lowered: int = 0
    transitions: Counter[tuple[Severity, Severity]] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add the numbers of another tally to this one."""
        self.cases += other.cases
        self.changed += other.changed
        self.recalled += other.recalled
        self.lowered += other.lowered
        self.transitions += other.transitions


def tally_of(replayed: Sequence[ReplayedCase]) -> Tally:
    """Count the changes of replayed cases."""
    kinds = Counter(one.transition.kind for one in replayed)
    return Tally(
        cases=len(replayed),
        changed=len(replayed) - kinds[None],
        recalled=kinds["recalled"],
        lowered=kinds["lowered"],
        transitions=Counter(
            (one.case.status.placement.severity, one.transition.placement.severity)
            for one in replayed
            if one.case.status.state is CaseState.OPEN
        ),
    )
