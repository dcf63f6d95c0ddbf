"""Cheap figures of a photograph's quality, from the prepared square. Advice, never a verdict."""

import torch
from torch import Tensor

_GREY = (0.299, 0.587, 0.114)


def measure_quality(square: Tensor) -> dict[str, float]:
    """Brightness, contrast and sharpness of one prepared square.

    Parameters
    ----------
    square
        uint8, shape (3, s, s).

    Returns
    -------
    dict
        `brightness`: mean grey level, 0..1. `contrast`: its standard deviation, 0..0.5.
        `sharpness`: mean absolute Laplacian of the grey levels, 0 for a flat picture.
    """
    grey = torch.tensordot(torch.tensor(_GREY), square.float() / 255.0, dims=1)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std(correction=0)),
        "sharpness": float(laplacian.abs().mean()),
    }
