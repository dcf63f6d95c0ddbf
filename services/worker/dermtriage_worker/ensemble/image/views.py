"""The eight ways to lay a square photograph on a table; a lesion has no up."""

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
    """Prepared squares on the device, in the views that members take.

    Members that take the same share it: to normalise anew for each of nine was one twelfth of the
    work of scoring, most of it for nothing.

    Parameters
    ----------
    squares
        Shape (n, 3, s, s), uint8 or floats of 0..255.
    """

    def __init__(self, squares: Tensor) -> None:
        self._squares = squares
        self._laid: dict[tuple[object, ...], Tensor] = {}

    def __len__(self) -> int:
        return len(self._squares)

    def laid(self, member: Member, views: int) -> Tensor:
        """Lay all photographs as they are, then all of them flipped, and so on.

        Returns
        -------
        Tensor
            float32, shape (views * n, 3, size, size), channels last; not to be written to.
        """
        key = (member.input_size, member.mean, member.std, views)
        if key not in self._laid:
            upright = normalise(self._squares, member.input_size, member.mean, member.std)
            batch = torch.cat([dihedral_view(upright, index) for index in range(views)])
            self._laid[key] = batch.contiguous(memory_format=torch.channels_last)
        return self._laid[key]
