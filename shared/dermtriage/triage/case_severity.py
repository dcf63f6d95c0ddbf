"""The severity of a case, from the severities of its images."""

from collections.abc import Iterable
from dataclasses import dataclass

from dermtriage.core.enums import Scoring, Severity


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """The scoring state of one image, and its severity once it is scored."""

    scoring: Scoring
    severity: Severity | None = None


_URGENCY = {Severity.LOW: 0, Severity.INDETERMINATE: 1, Severity.UNSCORED: 2, Severity.SEVERE: 3}


def more_urgent(new: Severity, old: Severity) -> bool:
    """Whether `new` is more urgent than `old`."""
    return _URGENCY[new] > _URGENCY[old]


def most_urgent(first: Severity, *others: Severity) -> Severity:
    """Return the most urgent of some severities."""
    return max((first, *others), key=_URGENCY.__getitem__)


def case_severity(images: Iterable[ImageStatus]) -> Severity:
    """Return the severity of a case by all of its images.

    It is severe if any image is; else unscored while one that is to be scored has no score; else
    that of the most urgent image.
    """
    to_score = [image for image in images if image.scoring is not Scoring.NOT_SCORED]
    scored = [image.severity for image in to_score if image.severity is not None]
    if Severity.SEVERE in scored:
        return Severity.SEVERE
    if not to_score or len(scored) < len(to_score):
        return Severity.UNSCORED
    return most_urgent(*scored)


def open_severity(current: Severity, latest: Severity) -> Severity:
    """Return the severity of an open case after its images were triaged again: it only rises.

    The first real score of an unscored case sets it, also to low.
    """
    if current is Severity.UNSCORED:
        return latest
    if latest is Severity.UNSCORED:
        return current
    return most_urgent(current, latest)
