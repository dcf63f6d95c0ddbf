"""The figures of an evaluation against sets whose figures are known."""

import json
import math

import numpy as np
import pytest
from tests.unit.worker.evaluation.conftest import labelled, plausible, prediction

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation.evaluate import evaluate
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.results import Evaluation

THRESHOLDS = Thresholds(lower=0.2, upper=0.6, disagreement=0.3, out_of_scope=0.5)
UNIFORM = [math.log(1 / 7)] * 7


def _evaluate(
    labels: list[Labelled], said: list[Prediction], log_prior: list[float] | None = None
) -> Evaluation:
    kinds = {"a_0": "a", "b_0": "b", "only": "only"}
    return evaluate(said, labels, THRESHOLDS, kinds=kinds, log_prior=log_prior, seed=0)


def test_raised_photographs_are_not_called_low() -> None:
    labels = labelled(["mel", "mel", "bcc", "akiec", "nv", "nv", "df", "bkl"])
    said = [
        prediction(0.1, out_of_scope=0.0),
        prediction(0.1, disagreement=0.4, out_of_scope=0.0),
        prediction(0.1, out_of_scope=0.9),
        prediction(0.7, out_of_scope=0.9),
        prediction(0.1, out_of_scope=0.0),
        prediction(0.3, out_of_scope=0.0),
        prediction(0.6, out_of_scope=0.0),
        prediction(0.1, disagreement=0.31, out_of_scope=0.0),
    ]
    figures = _evaluate(labels, said).figures
    hits = {name: estimate.hits for name, estimate in figures.items()}
    assert (hits["severe_called_low"], figures["severe_called_low"].value) == (1, 0.25)
    assert (hits["benign_called_low"], figures["benign_called_low"].value) == (1, 0.25)
    assert (hits["sensitivity_lower"], hits["specificity_lower"]) == (1, 2)
    assert (hits["sensitivity_upper"], hits["specificity_upper"]) == (1, 3)
    assert hits["out_of_scope"] == 2
    assert figures["sensitivity_lower"].photographs == 4


def test_scope_is_left_out_where_it_is_not_judged() -> None:
    evaluation = _evaluate(labelled(["mel", "nv"]), [prediction(0.7), prediction(0.1)])
    assert "out_of_scope" not in evaluation.figures
    assert {name: share.hits for name, share in evaluation.severities.items()} == {
        "severe": 1,
        "indeterminate": 0,
        "low": 1,
    }


def test_prior_is_taken_out_of_the_classes() -> None:
    # The lesion is called a naevus only because naevi are so frequent.
    said = [prediction(0.4, best="mel"), prediction(0.01, best="nv")]
    prior = [0.01] * 4 + [0.2, 0.75, 0.01]
    evaluation = _evaluate(labelled(["mel", "nv"]), said, np.log(prior).tolist())
    assert evaluation.figures["balanced_accuracy"].value == 0.5
    assert evaluation.figures["balanced_accuracy_adjusted"].value == 1.0
    mel, nv = CLASSES.index("mel"), CLASSES.index("nv")
    assert evaluation.confusion[mel][nv] == 1
    assert evaluation.confusion_adjusted is not None
    assert evaluation.confusion_adjusted[mel][mel] == 1
    without = _evaluate(labelled(["mel", "nv"]), said)
    assert "balanced_accuracy_adjusted" not in without.figures
    assert without.confusion_adjusted is None


def test_kinds_are_means_of_the_members_that_scored() -> None:
    labels = labelled(["mel", "nv", "mel", "nv"])
    said = [
        prediction(0.5, members={"x_0": 0.9, "y_0": 0.2}),
        prediction(0.5, members={"x_0": 0.1, "y_0": 0.8}),
        # Of another fold: other members of the same kinds.
        prediction(0.5, members={"x_1": 0.8, "y_1": 0.1}),
        prediction(0.5, members={"x_1": 0.2, "y_1": 0.9}),
    ]
    kinds = {"x_0": "x", "x_1": "x", "y_0": "y", "y_1": "y"}
    evaluation = evaluate(said, labels, THRESHOLDS, kinds=kinds, log_prior=None, seed=0)
    assert {kind: found.value for kind, found in evaluation.kinds.items()} == {"x": 1.0, "y": 0.0}


def test_subgroups_hold_everyone_once_a_field() -> None:
    labels, said = plausible(300)
    evaluation = _evaluate(labels, said, UNIFORM)
    fields = {row.field for row in evaluation.subgroups}
    # No site is known of anyone.
    assert fields == {"diagnosis type", "age", "sex"}
    for field in fields:
        rows = [row for row in evaluation.subgroups if row.field == field]
        assert sum(row.photographs for row in rows) == 300
        assert sum(row.severe for row in rows) == evaluation.severe
    ages = [row.value for row in evaluation.subgroups if row.field == "age"]
    assert ages == ["under 40", "40 to 59", "60 and over"]
    young = next(row for row in evaluation.subgroups if row.value == "under 40")
    among = [float(one.inputs["age_approx"]) < 40 for one in labels]
    ill = [
        said[i].p_severe >= 0.2
        for i in range(300)
        if among[i] and labels[i].diagnosis in {"mel", "bcc", "akiec"}
    ]
    assert young.sensitivity_lower.value == pytest.approx(np.mean(ill))


def test_intervals_hold_their_figures() -> None:
    evaluation = _evaluate(*plausible(300), UNIFORM)
    assert evaluation.lesions == 200
    for name, found in evaluation.figures.items():
        assert found.low <= found.value <= found.high, name
        assert found.low < found.high, name
    npv = [row.npv.value for row in evaluation.predictive_values]
    assert npv == sorted(npv, reverse=True)
    assert sum(part.photographs for part in evaluation.reliability) == 300


def test_undefined_figures_become_null_in_json() -> None:
    evaluation = _evaluate(labelled(["nv", "df"]), [prediction(0.1), prediction(0.3)])
    data = json.loads(evaluation.model_dump_json())
    assert data["figures"]["auc"]["value"] is None
    assert data["figures"]["severe_called_low"]["exact"] is None
    assert data["figures"]["benign_called_low"]["value"] == 0.5
