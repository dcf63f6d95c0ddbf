"""What is known of the patient beside the photograph, as the ensemble takes it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dermtriage.states import CLASSES
from dermtriage_worker.ensemble.manifest import Calibration

FIELDS = ("age_approx", "sex", "anatom_site")
"""Named as in the ISIC archive's metadata."""

_AGE_BAND = 15
_OLDEST_BAND = 75

_REGIONS = {
    "head/neck": ("head", "neck", "face", "scalp", "ear"),
    "torso": ("torso", "trunk", "back", "abdomen", "chest"),
    "upper extremity": ("upper extremity", "arm"),
    "lower extremity": ("lower extremity", "leg"),
    "acral": ("palm", "sole", "hand", "foot", "acral"),
    "genital": ("genital",),
}
"""Regions, and the words in a site's name that tell them: ISIC's names and HAM10000's."""

Inputs = Mapping[str, str | int | float]


def groups(inputs: Inputs) -> dict[str, str]:
    """Group of each field that is known: an age band of 15 years, a sex, a region of the body.

    Parameters
    ----------
    inputs
        Any of `FIELDS`; other fields are left out. Ages are in years.
    """
    known: dict[str, str] = {}
    for field in FIELDS:
        value = inputs.get(field)
        if value is None or value == "":
            continue
        if field == "age_approx":
            known[field] = _age_band(float(value))
        elif field == "sex":
            known[field] = str(value)
        elif region := _region(str(value)):
            known[field] = region
    return known


def metadata_shift(inputs: Sequence[Inputs], calibration: Calibration) -> Tensor | None:
    """Return what the known fields add to the logits: float64, (n, 7); None if it is nothing.

    A field that is absent, and a value that the release does not know, add nothing.
    """
    if not calibration.metadata:
        return None
    shift = torch.zeros(len(inputs), len(CLASSES), dtype=torch.float64)
    for row, known in enumerate(inputs):
        for field, group in groups(known).items():
            added = calibration.metadata.get(field, {}).get(group)
            if added is not None:
                shift[row] += torch.tensor(added, dtype=torch.float64)
    return shift


def used_inputs(inputs: Inputs, calibration: Calibration) -> dict[str, str | int | float]:
    """Return those fields that change something in this release: what an assessment keeps."""
    return {
        field: inputs[field]
        for field, group in groups(inputs).items()
        if group in calibration.metadata.get(field, {})
    }


def _region(site: str) -> str | None:
    words = site.lower()
    return next(
        (region for region, tells in _REGIONS.items() if any(tell in words for tell in tells)), None
    )


def _age_band(age: float) -> str:
    low = min(int(age) // _AGE_BAND * _AGE_BAND, _OLDEST_BAND)
    return f"{low}+" if low == _OLDEST_BAND else f"{low}-{low + _AGE_BAND - 1}"
