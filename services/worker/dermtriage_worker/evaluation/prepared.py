"""Prepare photographs as in serving, where the rendition is scored."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dermtriage.imaging.rendition import make_rendition
from dermtriage_worker.ensemble.image.preprocessing import decode_for, prepare
from dermtriage_worker.evaluation.labelled import Labelled


def prepare_labelled(labelled: Sequence[Labelled]) -> Tensor:
    """Prepare photographs of the common size: uint8, shape (n, 3, 150, 150)."""
    return torch.stack(
        [prepare(decode_for(make_rendition(one.path.read_bytes()))) for one in labelled]
    )
