"""The severity of one image, from what a release predicted for it."""

from dataclasses import dataclass

from dermtriage.core.enums import Severity
from dermtriage.triage.policy import Policy


@dataclass(frozen=True, slots=True)
class Finding:
    """The part of an assessment that triage reads; every figure ranges from 0 to 1."""

    p_severe: float
    disagreement: float
    out_of_scope: float | None = None

    def __post_init__(self) -> None:
        """Refuse a figure outside 0..1; NaN, too, which lies neither below nor above a threshold.

        Raises
        ------
        ValueError
            If a figure is no probability.
        """
        for value in (self.p_severe, self.disagreement, self.out_of_scope or 0.0):
            if not 0 <= value <= 1:
                raise ValueError(f"{value} does not lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class ImageTriage:
    """The severity of one image, and the codes of the reasons why it is indeterminate."""

    severity: Severity
    reasons: tuple[str, ...] = ()


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
