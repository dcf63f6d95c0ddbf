"""Round black borders are told from the rest, and skin from lesions."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.image.skin import dilate, inside_border, inside_borders, skin_cells


def disc(side: int, reach: float) -> Tensor:
    """Draw grey inside a circle and black outside: shape (side, side)."""
    axis = torch.arange(side) - (side - 1) / 2
    return (torch.hypot(axis[:, None], axis[None, :]) < reach) * 0.6


def test_only_round_black_borders_are_borders() -> None:
    side = 100
    spot = torch.full((side, side), 0.6) - disc(side, 20)
    grey = torch.stack([spot, disc(side, 45), disc(side, 20)])
    borders = inside_borders(grey)
    # The spot is none, nor is what leaves too little of the photograph.
    assert list(borders) == [1]
    inside = inside_border(grey)
    assert inside[0].all()
    assert inside[2].all()
    assert inside[1].equal(torch.from_numpy(borders[1]))
    # Of what touches the border, two pixels belong to it.
    assert not inside[1][disc(side, 45) == 0].any()
    assert not inside[1][side // 2, :7].any()
    assert inside[1][side // 2, 7:-7].all()


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_widening_takes_in_all_that_is_near(pixels: int) -> None:
    chosen = np.random.default_rng(0).random((30, 40)) < 0.01
    near = functional.max_pool2d(
        torch.from_numpy(chosen)[None].float(), 2 * pixels + 1, stride=1, padding=pixels
    )
    assert np.array_equal(dilate(chosen, pixels), near[0].numpy() > 0)


def test_skin_is_the_median_of_the_brighter_cells_inside() -> None:
    values = torch.rand(2, 3, 52, 52, generator=torch.Generator().manual_seed(0))
    inside = torch.ones(2, 52, 52, dtype=torch.bool)
    inside[1] = disc(52, 25) > 0
    cells, seen, skin = skin_cells(values, inside)
    assert seen[0].all()
    assert not seen[1].all()
    for colours, own, found in zip(cells, seen, skin, strict=True):
        among = colours[:, own]
        grey = among.mean(0)
        bright = among[:, grey >= grey.quantile(0.7)]
        assert found.equal(bright.median(1).values)
