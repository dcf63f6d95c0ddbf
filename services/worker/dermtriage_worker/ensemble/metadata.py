"""Encode the patient's metadata (age, sex, site) as the input of networks and calibration."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

FIELDS = ("age_approx", "sex", "anatom_site")
"""Named as in the ISIC archive's metadata."""

SEXES = ("female", "male")

YOUNG = 40
"""Years. Most severe lesions are of old patients, so with metadata those of younger ones would be
scored too low: the metadata of patients under this age is not used."""

_AGE_CENTRE = 50
_AGE_SPREAD = 20

_REGIONS = {
    "head/neck": ("head", "neck", "face", "scalp", "ear"),
    "torso": ("torso", "trunk", "back", "abdomen", "chest"),
    "upper extremity": ("upper extremity", "arm"),
    "lower extremity": ("lower extremity", "leg"),
    "acral": ("palm", "sole", "hand", "foot", "acral"),
    "genital": ("genital",),
}
"""Regions and the keywords in the names of their sites, of ISIC and HAM10000."""

COLUMNS = {
    "age_approx": slice(0, 3),
    "sex": slice(3, 3 + len(SEXES)),
    "anatom_site": slice(3 + len(SEXES), 3 + len(SEXES) + len(_REGIONS)),
}
"""Where each field stands in what `encode` returns."""

WIDTH = max(columns.stop for columns in COLUMNS.values())

Inputs = Mapping[str, str | int | float]


def encode(inputs: Sequence[Inputs]) -> Tensor:
    """Encode metadata as numbers; a field that is absent or unknown is all zero.

    Parameters
    ----------
    inputs
        Any of `FIELDS` for each photograph; other fields are left out. Ages are in years.

    Returns
    -------
    Tensor
        float32, shape (n, `WIDTH`), columns as in `COLUMNS`: that an age is known, the age
        (centred, in units of 20 years) and its square; a column per sex; a column per region of
        the body. All zero for patients under `YOUNG`.
    """
    encoded = torch.zeros(len(inputs), WIDTH)
    for row, known in enumerate(inputs):
        for field, values in _encoded(known).items():
            encoded[row, COLUMNS[field]] = torch.tensor(values)
    return encoded


def used_inputs(inputs: Inputs) -> dict[str, str | int | float]:
    """Return the fields that are encoded; an assessment stores them."""
    return {field: inputs[field] for field in _encoded(inputs)}


def _encoded(inputs: Inputs) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    age = inputs.get("age_approx")
    if age is not None and age != "":
        if float(age) < YOUNG:
            return {}
        years = (float(age) - _AGE_CENTRE) / _AGE_SPREAD
        found["age_approx"] = [1.0, years, years**2]
    if (sex := inputs.get("sex")) in SEXES:
        found["sex"] = [float(sex == other) for other in SEXES]
    if region := _region(str(inputs.get("anatom_site", ""))):
        found["anatom_site"] = [float(region == other) for other in _REGIONS]
    return found


def _region(site: str) -> str | None:
    words = site.lower()
    return next(
        (
            region
            for region, keywords in _REGIONS.items()
            if any(keyword in words for keyword in keywords)
        ),
        None,
    )
