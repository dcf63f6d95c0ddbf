"""Which photographs a member never sees: decided by lesion."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np


def fold_lesions(classes: Mapping[str, str], *, folds: int, seed: int) -> dict[str, int]:
    """Deal lesions to folds, class by class, so that each fold has its share of every class.

    Lesions, never photographs, are dealt: siblings of one lesion in training and test raise
    figures by points that do not exist.

    Parameters
    ----------
    classes
        Class of each lesion by its id.
    folds
        How many.
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
    dealt: dict[str, int] = {}
    for name in sorted(by_class):
        lesions = by_class[name]
        # Each class begins at the fold where the last one ended, or the first folds would get
        # the remainder of every class.
        start = len(dealt)
        for position, index in enumerate(generator.permutation(len(lesions))):
            dealt[lesions[index]] = (start + position) % folds
    return dealt
