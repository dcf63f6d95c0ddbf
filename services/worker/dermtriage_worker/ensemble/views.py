"""The eight ways to lay a square photograph on a table; a lesion has no up."""

from torch import Tensor


def dihedral_view(batch: Tensor, index: int) -> Tensor:
    """One of the eight flips and quarter turns of a square batch.

    Parameters
    ----------
    batch
        Shape (..., s, s).
    index
        0 is the identity; 1 to 3 flip sides without transposing; 4 to 7 transpose as well.
    """
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if index & bit]
    flipped = batch.flip(axes) if axes else batch
    return flipped.transpose(-1, -2) if index & 4 else flipped
