"""Figures of a release on photographs that nothing of it was set on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dermtriage.states import CLASSES
from dermtriage_worker.ensemble.ensemble import Ensemble, Prediction
from dermtriage_worker.ensemble.manifest import Figure, Thresholds
from dermtriage_worker.training.data import Record
from dermtriage_worker.training.figures import (
    Bools,
    Floats,
    Ints,
    Measure,
    auc,
    balanced_accuracy,
    bootstrap_by_lesion,
    calibration_error,
    severe_mask,
    specificity_at_sensitivity,
)

FEWEST_OF_A_KIND = 30
"""A figure over fewer photographs would say nothing."""


def predict_all(ensemble: Ensemble, squares: Tensor) -> list[Prediction]:
    """Score prepared photographs in batches, by the same way as in serving."""
    predictions: list[Prediction] = []
    for chunk in torch.split(squares, 64):
        predictions += ensemble.predict(list(chunk))
    return predictions


def heldout_figures(
    predictions: Sequence[Prediction],
    records: Sequence[Record],
    thresholds: Thresholds,
    log_prior: Tensor,
    *,
    seed: int,
) -> dict[str, Figure]:
    """Measure predictions against the truth, each figure with its 95 % interval by lesion.

    Parameters
    ----------
    log_prior
        Logarithm of the training frequencies: `balanced_accuracy_adjusted` takes them out of
        the probabilities before it takes the most probable class.
    """
    truth = np.array([CLASSES.index(record.diagnosis) for record in records])
    positive = severe_mask()[truth]
    severe = np.array([prediction.p_severe for prediction in predictions])
    table = np.array([[p.probabilities[name] for name in CLASSES] for p in predictions])
    adjusted = np.log(table.clip(1e-12)) - log_prior.numpy()
    disagreement = np.array([prediction.disagreement for prediction in predictions])
    below, urgent = severe < thresholds.lower, severe >= thresholds.upper
    low = below & (disagreement <= thresholds.disagreement)
    measures: dict[str, Measure] = {
        "auc": _auc(severe, positive),
        "balanced_accuracy": _balanced_accuracy(table, truth),
        "balanced_accuracy_adjusted": _balanced_accuracy(adjusted, truth),
        "calibration_error": lambda i: calibration_error(severe[i], positive[i]),
        "specificity_at_95_sensitivity": lambda i: specificity_at_sensitivity(
            severe[i], positive[i], 0.95
        ),
        "sensitivity_lower": _share(~below, positive),
        "specificity_lower": _share(below, ~positive),
        "sensitivity_upper": _share(urgent, positive),
        "specificity_upper": _share(~urgent, ~positive),
        "severe_called_low": _share(low, positive),
        "benign_called_low": _share(low, ~positive),
    }
    for member in predictions[0].member_p_severe:
        own = np.array([prediction.member_p_severe[member] for prediction in predictions])
        measures[f"auc_{member}"] = _auc(own, positive)
    kinds = np.array([record.diagnosis_type for record in records])
    for kind in sorted(set(kinds[~positive])):
        # Benign lesions were excised because they looked bad; followed-up ones did not.
        benign = ~positive & (kinds == kind)
        if benign.sum() >= FEWEST_OF_A_KIND:
            measures[f"specificity_upper_{kind}"] = _share(~urgent, benign)
    intervals = bootstrap_by_lesion(measures, [record.lesion_id for record in records], seed=seed)
    everything = np.arange(len(records))
    return {
        name: Figure(
            value=round(measure(everything), 4),
            low=round(intervals[name][0], 4),
            high=round(intervals[name][1], 4),
        )
        for name, measure in measures.items()
    }


def _auc(scores: Floats, positive: Bools) -> Measure:
    return lambda i: auc(scores[i], positive[i])


def _balanced_accuracy(table: Floats, truth: Ints) -> Measure:
    best = table.argmax(1)
    return lambda i: balanced_accuracy(best[i], truth[i], len(CLASSES))


def _share(flagged: Bools, among: Bools) -> Measure:
    return lambda i: float(flagged[i][among[i]].mean()) if among[i].any() else float("nan")
