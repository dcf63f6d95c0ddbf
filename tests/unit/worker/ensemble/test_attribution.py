"""A heat map divides up the very score that is reported."""

import pytest
import torch
from torch import Tensor

from dermtriage_worker.ensemble.attribution import (
    attributions,
    heat_maps,
    severe_log_odds,
    skin_baseline,
)
from dermtriage_worker.ensemble.inference import Ensemble

SKIN = torch.tensor([210, 170, 150], dtype=torch.uint8).view(3, 1, 1)


def lesion(top: int, left: int, border: bool = False) -> Tensor:
    square = SKIN.repeat(1, 150, 150).clone()
    square[:, top : top + 40, left : left + 40] = torch.tensor([90, 60, 50]).view(3, 1, 1)
    if border:
        axis = torch.arange(150) - 74.5
        square[:, torch.hypot(axis[:, None], axis[None, :]) > 70] = 0
    return square


def test_plain_skin_is_the_photograph_without_what_stands_out() -> None:
    square = lesion(20, 90)
    assert (skin_baseline(square[None])[0] - SKIN).abs().max() < 1
    bordered = lesion(40, 60, border=True)
    plain = skin_baseline(bordered[None])[0]
    assert (plain[:, 0, 0] == 0).all()
    assert (plain[:, 60, 75] - SKIN[:, 0, 0]).abs().max() < 1


def test_attributions_sum_to_the_difference_of_the_scores(tiny: Ensemble) -> None:
    squares = torch.stack([lesion(20, 90), lesion(60, 10)])
    divided = attributions(tiny, squares, steps=64).sum((1, 2, 3))
    with torch.inference_mode():
        whole = severe_log_odds(tiny, squares.float()) - severe_log_odds(
            tiny, skin_baseline(squares)
        )
    assert divided.tolist() == pytest.approx(whole.tolist(), abs=0.02)


def test_log_odds_are_those_of_the_score(tiny: Ensemble) -> None:
    squares = [lesion(20, 90), lesion(60, 10)]
    with torch.inference_mode():
        odds = severe_log_odds(tiny, torch.stack(squares).float())
    # The score averages several views, the explanation is of the upright one.
    scores = [said.p_severe for said in tiny.predict(squares)]
    assert odds.sigmoid().tolist() == pytest.approx(scores, abs=0.1)


def test_heat_is_where_the_lesion_is(tiny: Ensemble) -> None:
    squares = torch.stack([lesion(10, 100), lesion(100, 15), lesion(60, 60, border=True)])
    maps = heat_maps(tiny, squares)
    assert maps.shape == (3, 150, 150)
    assert maps.min() >= 0
    assert maps.amax((1, 2)).tolist() == pytest.approx([1, 1, 1])
    for heat, (top, left) in zip(maps, [(10, 100), (100, 15), (60, 60)], strict=True):
        row, column = divmod(int(heat.argmax()), 150)
        assert top - 3 <= row <= top + 43
        assert left - 3 <= column <= left + 43


def test_what_is_plain_skin_all_over_has_no_heat(tiny: Ensemble) -> None:
    assert heat_maps(tiny, SKIN.repeat(1, 150, 150)[None]).max() < 0.01
