"""Who is learnt from, who is calibrated on, who is only measured on: decided by lesion."""

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum

import numpy as np


class Split(StrEnum):
    """The part of the data that a lesion belongs to, with all its photographs."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    HELDOUT = "heldout"


def split_lesions(
    classes: Mapping[str, str], *, heldout_share: float, calibration_share: float, seed: int
) -> dict[str, Split]:
    """Deal lesions to the three splits, class by class.

    Lesions, never photographs, are dealt: siblings of one lesion in training and test raise
    figures by points that do not exist.

    Parameters
    ----------
    classes
        Class of each lesion by its id.
    heldout_share
        Share of each class's lesions that is only ever measured on.
    calibration_share
        Share of the remaining lesions that sets temperatures, weights and thresholds.
    seed
        The same seed and lesions give the same split, whatever their order.

    Returns
    -------
    dict
        Split of every lesion id.
    """
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    for lesion in sorted(classes):
        by_class[classes[lesion]].append(lesion)
    generator = np.random.default_rng(seed)
    splits: dict[str, Split] = {}
    for name in sorted(by_class):
        lesions = [by_class[name][i] for i in generator.permutation(len(by_class[name]))]
        heldout = round(len(lesions) * heldout_share)
        calibration = round((len(lesions) - heldout) * calibration_share)
        for position, lesion in enumerate(lesions):
            if position < heldout:
                splits[lesion] = Split.HELDOUT
            elif position < heldout + calibration:
                splits[lesion] = Split.CALIBRATION
            else:
                splits[lesion] = Split.TRAIN
    return splits
