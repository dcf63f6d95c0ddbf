"""The results of an evaluation. They are written as JSON; an undefined figure is null."""

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
        Number of photographs it is computed from; of lesions, if it is named `..._by_lesion`.
    hits
        For a share: the number of photographs in its numerator.
    exact
        For a share: the Clopper-Pearson interval, which assumes independent photographs.
    """

    value: Real
    low: Real
    high: Real
    photographs: int
    hits: int | None = None
    exact: tuple[float, float] | None = None


class ClassFigures(_Result):
    """One class against the others; for `recall_adjusted` see `evaluate`."""

    name: str
    photographs: int
    recall: Estimate
    recall_adjusted: Estimate | None
    auc: Estimate


class PredictiveValues(_Result):
    """Predictive values if this share of the photographs is severe.

    Attributes
    ----------
    prevalence
        The share, 0..1.
    npv
        Share of the benign among those below the lower threshold.
    ppv_lower, ppv_upper
        Share of the severe among those that reach the lower, or the upper, threshold.
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
        The frozen thresholds that were applied.
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
        The same for the `adjusted` probabilities; see `evaluate`.
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
        Malignancy AUC, and its difference from that of the same photographs unaltered.
    out_of_scope
        Share that was flagged; None if the release has no detector.
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
    """Figures of a release under all shifts; `sampled` if not on the whole set."""

    photographs: int
    lesions: int
    sampled: bool
    shifts: list[ShiftFigures]
