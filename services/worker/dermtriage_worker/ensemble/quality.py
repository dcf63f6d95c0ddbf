"""Cheap figures of a photograph's quality, from the prepared square. Advice, never a verdict.

What they mean to a clinic, and from which figure on, is said in `dermtriage.quality`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.skin import GREY, box_sum, inside_border, skin_cells, widened

_CLIPPED_DARK, _CLIPPED_BRIGHT = 0.06, 0.97
_FLAT = 1e-4
"""Mean gradient below which a picture is one even area."""


def measure_quality(square: Tensor) -> dict[str, float]:
    """Sharpness, exposure and framing of one prepared square; a round black border is left out.

    Parameters
    ----------
    square
        uint8, shape (3, s, s).

    Returns
    -------
    dict
        `sharpness`: share of the local variation that a further small blur takes away, 0..1
        (after Crete and others 2007); little is left to take where the picture is blurred.
        `brightness`: mean grey level, 0..1. `contrast`: its standard deviation, 0..0.5.
        `dark_share`, `bright_share`: of pixels without any detail left, 0..1.
        `lesion_contrast`: distance in RGB between skin and what stands out most, 0..1.7.
        `lesion_share`: of the photograph that stands out, 0..1.
        `off_centre`: from the centre to the middle of what stands out; 1 is the edge.
        `edge_share`: of the photograph's edge that stands out, 0..1.
    """
    values = square.float() / 255.0
    grey = torch.tensordot(torch.tensor(GREY), values, dims=1)
    inside = inside_border(grey)
    levels = _where(grey, inside)
    figures = {
        "sharpness": _sharpness(grey, inside),
        "brightness": float(levels.mean()),
        "contrast": float(levels.std(correction=0)),
        "dark_share": float((levels < _CLIPPED_DARK).float().mean()),
        "bright_share": float((_where(values.amin(0), inside) > _CLIPPED_BRIGHT).float().mean()),
    }
    return figures | _framing(values, inside)


def _sharpness(grey: Tensor, inside: Tensor) -> float:
    padded = functional.pad(grey[None], (2, 2, 2, 2), mode="reflect")[0]
    before = _gradient(grey)
    after = _gradient(box_sum(padded, 5) / 25)
    kept = inside[1:-1, 1:-1]
    if not kept.all():
        # The blur carries a border's edge three pixels inwards.
        kept = ~widened(~inside, 3)[1:-1, 1:-1]
    # What has no variation at all has nothing sharp in it.
    variation = float(_where(before, kept).mean())
    return 1 - float(_where(after, kept).mean()) / variation if variation > _FLAT else 0.0


def _where(values: Tensor, chosen: Tensor) -> Tensor:
    # Most photographs have no border, and picking out all pixels one by one costs ten times this.
    return values if chosen.all() else values[chosen]


def _gradient(grey: Tensor) -> Tensor:
    across = grey[1:-1, 2:] - grey[1:-1, :-2]
    down = grey[2:, 1:-1] - grey[:-2, 1:-1]
    return torch.hypot(across, down)


def _framing(values: Tensor, inside: Tensor) -> dict[str, float]:
    """Where what stands out from the skin lies, judged by colour alone."""
    cells, seen, skin = skin_cells(values, inside)
    distance = (cells - skin[:, None, None]).square().sum(0).sqrt() * seen
    # Lesions are mostly darker than skin; glare and gel are brighter.
    distance = torch.where(cells.mean(0) < skin.mean(), distance, distance / 2)
    contrast = distance.max()
    standing_out = distance > contrast / 2
    weights = distance * standing_out
    axis = torch.linspace(-1, 1, len(distance))
    total = weights.sum().clamp_min(1e-6)
    off_centre = torch.hypot((weights.sum(0) * axis).sum(), (weights.sum(1) * axis).sum()) / total
    edge = seen.clone()
    edge[1:-1, 1:-1] = False
    return {
        "lesion_contrast": float(contrast),
        "lesion_share": float(standing_out.sum() / seen.sum()),
        "off_centre": float(off_centre),
        "edge_share": float(standing_out[edge].float().mean()) if edge.any() else 0.0,
    }
