"""What an evaluation found. Written as JSON beside the report; an undefined figure is null."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dermtriage_worker.ensemble.manifest import Thresholds


def _undefined(value: Any) -> Any:
    return math.nan if value is None else value


Real = Annotated[float, BeforeValidator(_undefined)]
"""A figure that may be undefined: NaN here, null in JSON."""


class _Result(BaseModel):
    # JSON has no NaN, which is what an undefined figure is here.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Estimate(_Result):
    """A figure with its 95 % interval.

    Attributes
    ----------
    value
        The figure; NaN where the photographs do not define it.
    low, high
        Ends of the bootstrap interval by lesion.
    photographs
        How many photographs it speaks of; lesions, where it is named `..._by_lesion`.
    hits
        For a share: of how many of them it is true.
    exact
        For a share: the Clopper-Pearson interval, which takes photographs as independent.
    """

    value: Real
    low: Real
    high: Real
    photographs: int
    hits: int | None = None
    exact: tuple[float, float] | None = None


class ClassFigures(_Result):
    """One class against the others; `recall_adjusted` has the class frequencies taken out."""

    name: str
    photographs: int
    recall: Estimate
    recall_adjusted: Estimate | None
    auc: Estimate


class PredictiveValues(_Result):
    """What a result means where this share of the photographs is severe.

    Attributes
    ----------
    prevalence
        The share, 0..1.
    npv
        Share of the benign among what stays below the lower threshold.
    ppv_lower, ppv_upper
        Share of the severe among what reaches the lower, and the upper, threshold.
    """

    prevalence: float
    npv: Estimate
    ppv_lower: Estimate
    ppv_upper: Estimate


class Subgroup(_Result):
    """Photographs that share a value of a field."""

    field: str
    value: str
    photographs: int
    severe: int
    auc: Estimate
    sensitivity_lower: Estimate
    specificity_lower: Estimate
    sensitivity_upper: Estimate
    specificity_upper: Estimate


class ReliabilityBin(_Result):
    """Photographs with about the same p_severe; the interval is Clopper-Pearson's."""

    predicted: Real
    observed: Real
    low: Real
    high: Real
    photographs: int


class Evaluation(_Result):
    """All figures of one release on one labelled set.

    Attributes
    ----------
    thresholds
        The frozen operating points that were applied.
    figures
        By name; see `evaluate`.
    classes
        In the order of `CLASSES`.
    kinds
        Malignancy AUC of each kind of member alone.
    severities
        Share of the photographs that triage calls severe, indeterminate and low.
    confusion
        Photographs by true class (rows) and most probable class (columns).
    confusion_adjusted
        The same with the class frequencies taken out.
    """

    photographs: int
    lesions: int
    severe: int
    thresholds: Thresholds
    figures: dict[str, Estimate]
    classes: list[ClassFigures]
    kinds: dict[str, Estimate]
    predictive_values: list[PredictiveValues]
    severities: dict[str, Estimate]
    subgroups: list[Subgroup]
    reliability: list[ReliabilityBin]
    confusion: list[list[int]]
    confusion_adjusted: list[list[int]] | None


class Spread(_Result):
    """Mean and range over repeats."""

    mean: Real
    low: Real
    high: Real


class RepeatedHoldout(_Result):
    """Lesions with a single photograph, repeatedly split; see `measure_repeated_holdout`."""

    photographs: int
    severe: int
    repeats: int
    test_share: float
    wanted_sensitivity: float
    sensitivity: Spread
    specificity: Spread
    accuracy: Spread
    auc: Spread


class ShiftFigures(_Result):
    """A release on photographs that were altered in one way.

    Attributes
    ----------
    name, description
        Of the shift.
    auc, auc_change
        Malignancy AUC, and how far it moved from that of the same photographs unaltered.
    out_of_scope
        Share that was flagged; None where the release does not judge it.
    severe_called_low, benign_called_low
        At the frozen thresholds.
    """

    name: str
    description: str
    auc: Estimate
    auc_change: Estimate
    out_of_scope: Estimate | None
    severe_called_low: Estimate
    benign_called_low: Estimate


class Shifts(_Result):
    """A release under all shifts, over so many photographs and lesions."""

    photographs: int
    lesions: int
    sampled: bool
    shifts: list[ShiftFigures]
