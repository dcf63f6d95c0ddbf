"""Cross-validation folds: grouped by lesion and stratified by class."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np


def fold_lesions(classes: Mapping[str, str], *, folds: int, seed: int) -> dict[str, int]:
    """Assign lesions to folds, class by class, so that each fold has its share of every class.

    All photographs of a lesion are in one fold. If some were trained on, the figures measured on
    the others would be too high.

    Parameters
    ----------
    classes
        Class of each lesion by its id.
    folds
        Number of folds.
    seed
        The same seed and lesions give the same folds, whatever their order.

    Returns
    -------
    dict
        Fold of every lesion id, 0 to `folds` - 1.
    """
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    for lesion in sorted(classes):
        by_class[classes[lesion]].append(lesion)
    generator = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    for name in sorted(by_class):
        lesions = by_class[name]
        # Each class begins at the fold where the last one ended, or the first folds would get
        # the remainder of every class.
        start = len(fold_of)
        for position, index in enumerate(generator.permutation(len(lesions))):
            fold_of[lesions[index]] = (start + position) % folds
    return fold_of
