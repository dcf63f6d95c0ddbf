"""How two releases differ in their assessments of the same images."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from dermtriage.core.enums import Severity
from dermtriage.models import Assessment, Release
from dermtriage.releases.queries import active_policy, proposed_policy
from dermtriage.triage.image_severity import Finding, triage_image

QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)
SEVERITIES = (Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW)

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the assessments of two releases differ, over the images that both have scored.

    Attributes
    ----------
    photographs
        The number of these images; with none, the figures below are empty.
    transitions
        Photographs by (severity of the first, severity of the second), each under the thresholds
        that its own release proposes; it has every pair of `SEVERITIES`.
    mean_drift
        Mean of p_severe of the second minus that of the first, -1..1.
    mean_absolute_drift
        Mean of the absolute difference, 0..1.
    quantiles
        Of the absolute difference, by `QUANTILES`, 0..1; the last is the greatest.
    """

    photographs: int
    transitions: Mapping[tuple[Severity, Severity], int]
    mean_drift: float | None
    mean_absolute_drift: float | None
    quantiles: Mapping[float, float]

    @property
    def contradictions(self) -> int:
        """The number of images that are severe for one release and low for the other."""
        return (
            self.transitions[Severity.SEVERE, Severity.LOW]
            + self.transitions[Severity.LOW, Severity.SEVERE]
        )


def compare(session: Session, first: Release, second: Release) -> Comparison:
    """Compare two releases by their stored assessments; nothing is scored.

    Raises
    ------
    ReleaseInvalid
        If one of them proposes no thresholds.
    """
    _, base = active_policy(session)
    policies = proposed_policy(first, base), proposed_policy(second, base)
    one, other = aliased(Assessment), aliased(Assessment)
    both = (one.release_id == first.id) & (other.release_id == second.id)
    rows = session.execute(
        select(
            one.p_severe,
            one.disagreement,
            one.out_of_scope,
            other.p_severe,
            other.disagreement,
            other.out_of_scope,
        )
        .join(other, other.image_id == one.image_id)
        .where(both)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    counted = Counter(
        (
            triage_image(Finding(*row[:3]), policies[0]).severity,
            triage_image(Finding(*row[3:]), policies[1]).severity,
        )
        for row in rows
    )
    drift = other.p_severe - one.p_severe
    size = func.abs(drift)
    mean, mean_size, *quantiles = session.execute(
        select(
            func.avg(drift),
            func.avg(size),
            *(func.percentile_cont(share).within_group(size) for share in QUANTILES),
        )
        .select_from(one)
        .join(other, other.image_id == one.image_id)
        .where(both)
    ).one()
    return Comparison(
        photographs=counted.total(),
        transitions={(a, b): counted[a, b] for a in SEVERITIES for b in SEVERITIES},
        mean_drift=mean,
        mean_absolute_drift=mean_size,
        quantiles={
            share: value
            for share, value in zip(QUANTILES, quantiles, strict=True)
            if value is not None
        },
    )
