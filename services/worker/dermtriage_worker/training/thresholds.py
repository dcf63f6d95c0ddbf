"""Choose the thresholds of triage on out-of-fold scores."""

import numpy as np

from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.evaluation.figures import Bools, Floats, Ints, threshold_for

LOWER_SENSITIVITY = 0.98
UPPER_SENSITIVITY = 0.80
UPPER_SPECIFICITY = 0.90
RAISED_SHARE = 0.10
"""Share of low photographs that disagreement may raise to indeterminate."""


def choose_thresholds(
    p_severe: Floats, positive: Bools, disagreement: Floats, groups: Ints
) -> Thresholds:
    """Choose thresholds that hold in every group of photographs.

    The lower threshold is the highest that misses at most 2 % of the positives. The upper one is
    the highest that flags 80 % of them, or a higher one where more than 10 % of the negatives
    would be flagged. Disagreement raises a tenth of the low photographs at most.

    Parameters
    ----------
    p_severe
        Shape (n,).
    positive
        Whether the diagnosis is severe, shape (n,).
    disagreement
        Of the members over each photograph, shape (n,).
    groups
        Group of each, shape (n,): such as scored with metadata, and scored without.
    """
    by_group = [
        _thresholds(p_severe[own], positive[own], disagreement[own])
        for own in (groups == group for group in np.unique(groups))
    ]
    return Thresholds(
        lower=min(one.lower for one in by_group),
        upper=max(one.upper for one in by_group),
        disagreement=max(one.disagreement for one in by_group),
    )


def _thresholds(p_severe: Floats, positive: Bools, disagreement: Floats) -> Thresholds:
    positives, negatives = np.sort(p_severe[positive]), np.sort(p_severe[~positive])
    lower = threshold_for(positives, LOWER_SENSITIVITY)
    # The first value above the quantile of the negatives: exactly at it, that negative is flagged.
    specific = float(
        negatives[min(len(negatives) - 1, int(np.ceil(UPPER_SPECIFICITY * len(negatives))))]
    )
    upper = max(lower, threshold_for(positives, UPPER_SENSITIVITY), specific)
    low = disagreement[p_severe < lower]
    limit = float(np.quantile(low, 1 - RAISED_SHARE)) if len(low) else 1.0
    return Thresholds(lower=lower, upper=upper, disagreement=limit)
