"""Predictions with their triage by a release's thresholds, and the ground truth, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermtriage.core.enums import CLASSES, Severity
from dermtriage.triage.image_severity import Finding, ImageTriage, triage_image
from dermtriage.triage.policy import Policy
from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation.figures import Bools, Floats, Ints, severe_mask
from dermtriage_worker.evaluation.labelled import Labelled


@dataclass(frozen=True)
class TriagedSet:
    """A labelled set as a release triages it; n photographs.

    Attributes
    ----------
    lesions
        Lesion id of each photograph.
    truth
        True class index, shape (n,).
    positive
        Whether its diagnosis is severe, shape (n,).
    p_severe
        Shape (n,).
    probabilities
        Shape (n, 7).
    severities
        Severity by triage, shape (n,).
    out_of_scope
        Whether it was flagged, shape (n,); None if the release has no detector.
    """

    lesions: list[str]
    truth: Ints
    positive: Bools
    p_severe: Floats
    probabilities: Floats
    severities: NDArray[np.str_]
    out_of_scope: Bools | None

    @property
    def low(self) -> Bools:
        """Which photographs are triaged low, shape (n,)."""
        return np.equal(self.severities, Severity.LOW.value)


def triage_labelled(
    predictions: Sequence[Prediction], labelled: Sequence[Labelled], thresholds: Thresholds
) -> TriagedSet:
    """Triage predictions by thresholds, and join them with the ground truth.

    Parameters
    ----------
    predictions, labelled
        Of the same photographs in the same order.
    """
    policy = thresholds.policy()
    truth = np.array([CLASSES.index(one.diagnosis) for one in labelled])
    severities = [triage_prediction(one, policy).severity.value for one in predictions]
    return TriagedSet(
        lesions=[one.lesion_id for one in labelled],
        truth=truth,
        positive=severe_mask()[truth],
        p_severe=np.array([prediction.p_severe for prediction in predictions]),
        probabilities=np.array([[p.probabilities[name] for name in CLASSES] for p in predictions]),
        severities=np.array(severities),
        out_of_scope=_out_of_scope(predictions, policy),
    )


def triage_prediction(prediction: Prediction, policy: Policy) -> ImageTriage:
    """Apply a policy to a prediction, like triage after scoring."""
    finding = Finding(prediction.p_severe, prediction.disagreement, prediction.out_of_scope)
    return triage_image(finding, policy)


def _out_of_scope(predictions: Sequence[Prediction], policy: Policy) -> Bools | None:
    limit = policy.out_of_scope
    scores = [p.out_of_scope for p in predictions if p.out_of_scope is not None]
    if limit is None or len(scores) < len(predictions):
        return None
    return np.array(scores) > limit
