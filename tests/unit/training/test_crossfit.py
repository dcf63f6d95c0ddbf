"""Calibration on the other folds, and metadata that must earn its place."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dermtriage.states import CLASSES
from dermtriage_worker.evaluation.figures import severe_mask
from dermtriage_worker.training.calibrate import fit_metadata
from dermtriage_worker.training.crossfit import CrossFitted, crossfit, metadata_helps

COUNT = 900
PRIOR = torch.full((7,), 1 / 7).double().log()


def _set(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 7, (COUNT,), generator=generator)
    logits = 2.0 * torch.nn.functional.one_hot(truth, 7).double()
    logits += torch.randn(COUNT, 7, generator=generator).double()
    severe = torch.from_numpy(severe_mask())[truth]
    folds = torch.randint(0, 3, (COUNT,), generator=generator)
    return logits, truth, severe, folds


def test_a_fold_is_judged_by_what_the_others_set() -> None:
    logits, truth, severe, folds = _set()
    scored = crossfit(
        {"a": logits}, truth, severe, folds, [{}] * COUNT, PRIOR, with_metadata=False, seed=1
    )
    torch.testing.assert_close(scored.probabilities.sum(1), torch.ones(COUNT).double())
    assert len(scored.lower.unique()) <= 3
    # Other labels in fold 0 change what is set for the other folds, and nothing for fold 0.
    wrong = torch.where(folds == 0, (truth + 1) % 7, truth)
    changed = crossfit(
        {"a": logits},
        wrong,
        torch.from_numpy(severe_mask())[wrong],
        folds,
        [{}] * COUNT,
        PRIOR,
        with_metadata=False,
        seed=1,
    )
    same = (changed.probabilities - scored.probabilities).abs().amax(1) < 1e-9
    assert same[folds == 0].all()
    assert not same[folds != 0].any()


def test_telling_metadata_is_found_and_the_rest_stays_near_nothing() -> None:
    truth = torch.arange(COUNT) % 7
    flat = torch.full((COUNT, 7), 1 / 7).double().log()
    mel = CLASSES.index("mel")
    generator = np.random.default_rng(0)
    known = [
        {
            "age_approx": "75+" if index == mel else "15-29",
            "sex": str(generator.choice(["male", "female"])),
        }
        for index in truth.tolist()
    ]
    table = fit_metadata(flat, known, truth, seed=1)
    assert table["age_approx"]["75+"][mel] > 1
    assert max(abs(value) for row in table["sex"].values() for value in row) < 0.5


@pytest.mark.parametrize(
    ("likelier", "young_missed", "expected"),
    [(True, False, True), (False, False, False), (True, True, False)],
)
def test_metadata_stays_out_where_it_harms(
    likelier: bool, young_missed: bool, expected: bool
) -> None:
    truth = torch.tensor([0, 4])
    young = torch.tensor([True, False])

    def scored(confidence: float, lower: float) -> CrossFitted:
        table = torch.full((2, 7), (1 - confidence) / 6).double()
        table[torch.arange(2), truth] = confidence
        limit = torch.full((2,), lower).double()
        return CrossFitted(table, limit, limit, torch.zeros(2, dtype=torch.bool))

    informed = scored(0.6 if likelier else 0.4, 0.99 if young_missed else 0.1)
    assert metadata_helps(scored(0.5, 0.1), informed, truth, young) is expected
