"""Cheap figures of photographs' quality, from the prepared squares. Advice, never a verdict.

What they mean to a clinic, and from which figure on, is said in `dermtriage.quality`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.skin import (
    box_sum,
    grey_levels,
    inside_border,
    skin_cells,
    widened,
)

_CLIPPED_DARK, _CLIPPED_BRIGHT = 0.06, 0.97
_AT_ONCE = 4
"""Photographs that are measured together: one by one, most of the time goes into a hundred small
calls, and many at once fall out of the processor's caches."""
_FLAT = 1e-4
"""Mean gradient below which a picture is one even area."""


def measure_quality(squares: Sequence[Tensor]) -> list[dict[str, float]]:
    """Sharpness, exposure and framing of prepared squares; round black borders are left out.

    Parameters
    ----------
    squares
        uint8, each of shape (3, s, s); not empty.

    Returns
    -------
    list of dict
        For each square: `sharpness`: share of the local variation that a further small blur takes
        away, 0..1 (after Crete and others 2007); little is left to take where the picture is
        blurred. `brightness`: mean grey level, 0..1. `contrast`: its standard deviation, 0..0.5.
        `dark_share`, `bright_share`: of pixels without any detail left, 0..1.
        `lesion_contrast`: distance in RGB between skin and what stands out most, 0..1.7.
        `lesion_share`: of the photograph that stands out, 0..1.
        `off_centre`: from the centre to the middle of what stands out; 1 is the edge.
        `edge_share`: of the photograph's edge that stands out, 0..1.
    """
    return [
        figures
        for few in torch.split(torch.stack(list(squares)), _AT_ONCE)
        for figures in _measure(few.float() / 255.0)
    ]


def _measure(values: Tensor) -> list[dict[str, float]]:
    grey = grey_levels(values)
    inside = inside_border(grey)
    brightness = _mean(grey, inside)
    spread = _mean((grey - brightness[:, None, None]).square(), inside).sqrt()
    figures = {
        "sharpness": _sharpness(grey, inside),
        "brightness": brightness,
        "contrast": spread,
        "dark_share": _mean(grey < _CLIPPED_DARK, inside),
        "bright_share": _mean(values.amin(1) > _CLIPPED_BRIGHT, inside),
        **_framing(values, inside),
    }
    columns = zip(*(column.tolist() for column in figures.values()), strict=True)
    return [dict(zip(figures, row, strict=True)) for row in columns]


def _sharpness(grey: Tensor, inside: Tensor) -> Tensor:
    padded = functional.pad(grey[:, None], (2, 2, 2, 2), mode="reflect")[:, 0]
    before = _gradient(grey)
    after = _gradient(box_sum(padded, 5) / 25)
    kept = inside[:, 1:-1, 1:-1]
    if not inside.all():
        # The blur carries a border's edge three pixels inwards.
        kept = ~widened(~inside, 3)[:, 1:-1, 1:-1]
    variation = _mean(before, kept)
    # What has no variation at all has nothing sharp in it.
    return torch.where(
        variation > _FLAT, 1 - _mean(after, kept) / variation.clamp_min(_FLAT), torch.tensor(0.0)
    )


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Average over what is chosen of each photograph, 0 where nothing is: shape (n,)."""
    return (values * chosen).sum((1, 2)) / chosen.sum((1, 2)).clamp_min(1)


def _gradient(grey: Tensor) -> Tensor:
    across = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    return torch.hypot(across, down)


def _framing(values: Tensor, inside: Tensor) -> dict[str, Tensor]:
    """Where what stands out from the skin lies, judged by colour alone."""
    cells, seen, skin = skin_cells(values, inside)
    distance = (cells - skin[:, :, None, None]).square().sum(1).sqrt() * seen
    # Lesions are mostly darker than skin; glare and gel are brighter.
    darker = cells.mean(1) < skin.mean(1)[:, None, None]
    distance = torch.where(darker, distance, distance / 2)
    contrast = distance.amax((1, 2))
    standing_out = distance > contrast[:, None, None] / 2
    weights = distance * standing_out
    axis = torch.linspace(-1, 1, distance.shape[-1])
    total = weights.sum((1, 2)).clamp_min(1e-6)
    off_centre = torch.hypot((weights.sum(1) * axis).sum(1), (weights.sum(2) * axis).sum(1)) / total
    edge = seen.clone()
    edge[:, 1:-1, 1:-1] = False
    return {
        "lesion_contrast": contrast,
        "lesion_share": _mean(standing_out, seen),
        "off_centre": off_centre,
        "edge_share": _mean(standing_out, edge),
    }
