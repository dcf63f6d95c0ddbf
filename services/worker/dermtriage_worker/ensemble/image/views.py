"""Dihedral views: a square photograph in its eight flips and quarter turns."""

import torch
from torch import Tensor

from dermtriage_worker.ensemble.image.preprocessing import normalise
from dermtriage_worker.ensemble.manifest import Member


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


class Views:
    """Prepared squares on a device, and the batches of views that members read.

    Members with the same input size, normalisation and number of views share one batch.
    Normalising once for each of nine members would be a twelfth of the time of scoring.

    Parameters
    ----------
    squares
        Shape (n, 3, s, s), uint8 or floats of 0..255.
    """

    def __init__(self, squares: Tensor) -> None:
        self._squares = squares
        self._batches: dict[tuple[object, ...], Tensor] = {}

    def __len__(self) -> int:
        return len(self._squares)

    def batch_for(self, member: Member, views: int) -> Tensor:
        """Return the first `views` dihedral views: all photographs upright, then all flipped, ...

        Returns
        -------
        Tensor
            float32, shape (views * n, 3, size, size), channels last; must not be written to.
        """
        key = (member.input_size, member.mean, member.std, views)
        if key not in self._batches:
            upright = normalise(self._squares, member.input_size, member.mean, member.std)
            batch = torch.cat([dihedral_view(upright, index) for index in range(views)])
            self._batches[key] = batch.contiguous(memory_format=torch.channels_last)
        return self._batches[key]
