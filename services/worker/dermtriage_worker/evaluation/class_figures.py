"""Figures of the seven classes: recall and AUC of each, and the confusion matrix."""

import numpy as np

from dermtriage.core.enums import CLASSES
from dermtriage_worker.evaluation.bootstrap import Bootstrap
from dermtriage_worker.evaluation.figures import Ints
from dermtriage_worker.evaluation.results import ClassFigures
from dermtriage_worker.evaluation.triaged import TriagedSet
from dermtriage_worker.evaluation.weighted_statistics import auc, share


def class_figures(
    triaged: TriagedSet, predicted: Ints, adjusted: Ints | None, bootstrap: Bootstrap
) -> list[ClassFigures]:
    """Measure each class against the others, in the order of `CLASSES`.

    Parameters
    ----------
    predicted
        Most probable class of each photograph, shape (n,).
    adjusted
        The same after dividing by the class frequencies of training; None if unknown.
    """
    rows = []
    for index, name in enumerate(CLASSES):
        of_class = triaged.truth == index
        rows.append(
            ClassFigures(
                name=name,
                photographs=int(of_class.sum()),
                recall=bootstrap.estimate(share(predicted == index, of_class)),
                recall_adjusted=None
                if adjusted is None
                else bootstrap.estimate(share(adjusted == index, of_class)),
                auc=bootstrap.estimate(auc(triaged.probabilities[:, index], of_class)),
            )
        )
    return rows


def confusion_matrix(truth: Ints, predicted: Ints) -> list[list[int]]:
    """Count photographs by true class (rows) and predicted class (columns)."""
    table = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(table, (truth, predicted), 1)
    return [[int(count) for count in row] for row in table]
