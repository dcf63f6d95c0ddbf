"""Figures by lesion: its most severe photograph decides, as in the triage of a case."""

from collections.abc import Sequence

import numpy as np

from dermtriage_worker.evaluation.bootstrap import Bootstrap
from dermtriage_worker.evaluation.figures import Bools, Floats, Ints
from dermtriage_worker.evaluation.results import Estimate
from dermtriage_worker.evaluation.weighted_statistics import auc, share


def lesion_figures(
    lesions: Sequence[str],
    *,
    p_severe: Floats,
    positive: Bools,
    flagged: Bools,
    low: Bools,
    seed: int,
) -> dict[str, Estimate]:
    """Measure triage by lesion, each figure with its 95 % interval.

    Clinicians meet cases, and a lesion that was photographed ten times is one case. Counted by
    photograph it would weigh ten times.

    Parameters
    ----------
    lesions
        Lesion id of each photograph; not empty.
    p_severe
        Shape (n,).
    positive
        Whether the diagnosis is severe, shape (n,).
    flagged
        Whether it reaches the upper threshold, shape (n,): one such photograph sends its lesion
        to the severe lane.
    low
        Whether it is called low, shape (n,): a lesion is called low if all its photographs are.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        `auc_by_lesion`, `sensitivity_upper_by_lesion`, `specificity_upper_by_lesion`,
        `severe_called_low_by_lesion` and `benign_called_low_by_lesion`; their counts are lesions.
    """
    names, lesion_of = np.unique(np.asarray(lesions), return_inverse=True)
    count = len(names)
    highest = np.zeros(count)
    np.maximum.at(highest, lesion_of, p_severe)
    positives, flagged_lesions, not_low = (
        _any(marked, lesion_of, count) for marked in (positive, flagged, ~low)
    )
    bootstrap = Bootstrap(names.tolist(), seed=seed)
    return {
        "auc_by_lesion": bootstrap.estimate(auc(highest, positives)),
        "sensitivity_upper_by_lesion": bootstrap.estimate(share(flagged_lesions, positives)),
        "specificity_upper_by_lesion": bootstrap.estimate(share(~flagged_lesions, ~positives)),
        "severe_called_low_by_lesion": bootstrap.estimate(share(~not_low, positives)),
        "benign_called_low_by_lesion": bootstrap.estimate(share(~not_low, ~positives)),
    }


def _any(marked: Bools, lesion_of: Ints, count: int) -> Bools:
    """Return whether any photograph of each lesion is marked, shape (lesions,)."""
    found = np.zeros(count, bool)
    found[lesion_of[marked]] = True
    return found
