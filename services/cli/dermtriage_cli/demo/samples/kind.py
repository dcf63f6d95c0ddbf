"""The kinds of lesions that samples show."""

from enum import StrEnum


class Kind(StrEnum):
    """What a sample looks like; a likeness and no diagnosis."""

    MOLE = "mole"
    MELANOMA_LIKE = "melanoma_like"
    BCC_LIKE = "bcc_like"
    ACTINIC_LIKE = "actinic_like"
    KERATOSIS_LIKE = "keratosis_like"
    DERMATOFIBROMA_LIKE = "dermatofibroma_like"
    ANGIOMA_LIKE = "angioma_like"
