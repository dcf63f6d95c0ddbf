"""Calibration on the other folds."""

import torch
from torch import Tensor

from dermtriage_worker.evaluation.figures import severe_mask
from dermtriage_worker.training.crossfit import crossfit

COUNT = 900
NOBODY = torch.zeros(COUNT, 2)
GROUPS = torch.zeros(COUNT, dtype=torch.long)
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
    scored = crossfit({"a": logits}, NOBODY, truth, severe, GROUPS, folds, PRIOR)
    torch.testing.assert_close(scored.probabilities.sum(1), torch.ones(COUNT).double())
    assert len(scored.lower.unique()) <= 3
    # Other labels in fold 0 change what is set for the other folds, and nothing for fold 0.
    wrong = torch.where(folds == 0, (truth + 1) % 7, truth)
    changed = crossfit(
        {"a": logits},
        NOBODY,
        wrong,
        torch.from_numpy(severe_mask())[wrong],
        GROUPS,
        folds,
        PRIOR,
    )
    same = (changed.probabilities - scored.probabilities).abs().amax(1) < 1e-9
    assert same[folds == 0].all()
    assert not same[folds != 0].any()
