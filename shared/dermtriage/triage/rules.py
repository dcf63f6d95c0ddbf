"""Severities and lanes: from findings of images to the severity of a case."""

from collections.abc import Iterable
from dataclasses import dataclass

from dermtriage.core.enums import (
    PRIORITY_LANE,
    SEVERITY_LANE,
    Lane,
    Outcome,
    Priority,
    Scoring,
    Severity,
)
from dermtriage.triage.policy import Policy


@dataclass(frozen=True, slots=True)
class Finding:
    """What one release said of one image, as far as triage needs it; all from 0 to 1."""

    p_severe: float
    disagreement: float
    out_of_scope: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no probability: it lies below no threshold and above none."""
        for value in (self.p_severe, self.disagreement, self.out_of_scope or 0.0):
            if not 0 <= value <= 1:
                raise ValueError(f"{value} does not lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class ImageTriage:
    """The severity of one image, and in words why it is not what the score alone says."""

    severity: Severity
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """How far one image is, and its severity once it is scored."""

    scoring: Scoring
    severity: Severity | None = None


def triage_image(finding: Finding, policy: Policy) -> ImageTriage:
    """Apply the thresholds of `policy` to one image.

    Disagreement and an out-of-scope flag raise low to indeterminate; nothing lowers severe.
    """
    if finding.p_severe >= policy.upper:
        return ImageTriage(Severity.SEVERE)
    reasons = []
    if finding.disagreement > policy.disagreement:
        reasons.append("members_disagree")
    if (
        policy.out_of_scope is not None
        and finding.out_of_scope is not None
        and finding.out_of_scope > policy.out_of_scope
    ):
        reasons.append("out_of_scope")
    if finding.p_severe >= policy.lower:
        return ImageTriage(Severity.INDETERMINATE, ("between_thresholds", *reasons))
    return ImageTriage(Severity.INDETERMINATE if reasons else Severity.LOW, tuple(reasons))


_RANK = {Severity.LOW: 0, Severity.INDETERMINATE: 1, Severity.UNSCORED: 2, Severity.SEVERE: 3}


def more_urgent(new: Severity, old: Severity) -> bool:
    """Whether `new` is read before `old`."""
    return _RANK[new] > _RANK[old]


def most_urgent(first: Severity, *others: Severity) -> Severity:
    """Return the one that is read before the others."""
    return max(first, *others, key=_RANK.__getitem__) if others else first


def retake_priority(asked: Priority, replaced: Priority, severity: Severity) -> Priority:
    """Return the priority of a retake: it never stands behind the case that it replaces.

    Parameters
    ----------
    asked
        What the referrer asks for now.
    replaced, severity
        What was asked for, and what triage thought, of the case that is replaced.
    """
    by_triage = {Severity.SEVERE: Priority.ASAP, Severity.INDETERMINATE: Priority.URGENT}
    inherited = by_triage.get(severity, Priority.ROUTINE)
    return min(asked, replaced, inherited, key=list(Priority).index)


def case_severity(images: Iterable[ImageStatus]) -> Severity:
    """Severe if any image is; else unscored while one is missing; else the worst of them."""
    judged = [image for image in images if image.scoring is not Scoring.NOT_SCORED]
    scored = [image.severity for image in judged if image.severity is not None]
    if Severity.SEVERE in scored:
        return Severity.SEVERE
    if not judged or len(scored) < len(judged):
        return Severity.UNSCORED
    return most_urgent(*scored)


def open_severity(current: Severity, latest: Severity) -> Severity:
    """Return the severity of an open case after a new judgement: it only rises.

    The first real score of an unscored case sets it, also to low.
    """
    if current is Severity.UNSCORED:
        return latest
    if latest is Severity.UNSCORED:
        return current
    return most_urgent(current, latest)


def base_lane(severity: Severity, priority: Priority) -> Lane:
    """Return the more urgent of what triage and the referrer say, before age counts."""
    return min(SEVERITY_LANE[severity], PRIORITY_LANE[priority])


def recalls(
    latest: Severity, severity_at_decision: Severity, outcome: Outcome, already_recalled: bool
) -> bool:
    """Whether a decided case must be read again because a later score is severe."""
    return (
        latest is Severity.SEVERE
        and severity_at_decision is not Severity.SEVERE
        and outcome is not Outcome.REFER_URGENT
        and not already_recalled
    )
