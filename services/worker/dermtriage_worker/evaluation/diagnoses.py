"""The ISIC archive's diagnoses as the seven classes that are told apart."""

from collections.abc import Mapping

COLUMNS = (*(f"diagnosis_{level}" for level in range(5, 0, -1)), "diagnosis")
"""From the finest of the archive's levels to the coarsest, and the single one of older exports."""

_TELLS = (
    # The order counts: a melanoma that arose in a nevus is a melanoma.
    ("akiec", ("actinic keratosis", "squamous cell carcinoma in situ", "bowen", "intraepithelial")),
    ("mel", ("melanoma",)),
    ("bcc", ("basal cell carcinoma",)),
    ("df", ("dermatofibroma",)),
    ("vasc", ("hemangioma", "angiokeratoma", "angioma", "pyogenic granuloma", "vascular")),
    ("bkl", ("benign keratosis", "seborrheic keratosis", "lentigo", "lichen planus like")),
    ("nv", ("nevus", "naevus")),
)
"""Classes, and the words that tell them; as HAM10000's authors grouped them."""


def class_of(row: Mapping[str, str]) -> str | None:
    """Return the class that a row of the archive's metadata names; None if it is another.

    Parameters
    ----------
    row
        Values by column; the finest diagnosis that is given counts.
    """
    for column in COLUMNS:
        text = row.get(column, "").lower().replace("-", " ")
        for name, tells in _TELLS:
            if any(tell in text for tell in tells):
                return name
    return None
