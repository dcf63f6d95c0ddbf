"""Map the ISIC archive's diagnoses to the seven classes of the ensemble."""

from collections.abc import Mapping

COLUMNS = (*(f"diagnosis_{level}" for level in range(5, 0, -1)), "diagnosis")
"""From the finest of the archive's levels to the coarsest, and the single one of older exports."""

_KEYWORDS = (
    # The order counts: a melanoma that arose in a nevus is a melanoma.
    ("akiec", ("actinic keratosis", "squamous cell carcinoma in situ", "bowen", "intraepithelial")),
    ("mel", ("melanoma",)),
    ("bcc", ("basal cell carcinoma",)),
    ("df", ("dermatofibroma",)),
    ("vasc", ("hemangioma", "angiokeratoma", "angioma", "pyogenic granuloma", "vascular")),
    ("bkl", ("benign keratosis", "seborrheic keratosis", "lentigo", "lichen planus like")),
    ("nv", ("nevus", "naevus")),
)
"""Classes and the keywords of their diagnoses; as HAM10000's authors grouped them."""


def class_of(row: Mapping[str, str]) -> str | None:
    """Return the class that a row of the archive's metadata names; None if it is another.

    Parameters
    ----------
    row
        Values by column; the finest diagnosis that is given counts.
    """
    for column in COLUMNS:
        text = row.get(column, "").lower().replace("-", " ")
        for name, keywords in _KEYWORDS:
            if any(keyword in text for keyword in keywords):
                return name
    return None
