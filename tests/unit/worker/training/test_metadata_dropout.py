"""Metadata is dropped by the row and by the field."""

import pytest
import torch

from dermtriage_worker.ensemble.metadata import COLUMNS, WIDTH
from dermtriage_worker.training.metadata_dropout import drop_fields


def test_fields_are_left_out_by_the_row_and_one_by_one() -> None:
    whole = torch.ones(4000, WIDTH)
    kept = drop_fields(whole, torch.Generator().manual_seed(0))
    fields = torch.stack([kept[:, columns].amax(1) for columns in COLUMNS.values()], dim=1)
    assert all(kept[:, c].unique(dim=0).shape[0] == 2 for c in COLUMNS.values())
    assert (fields.sum(1) == 0).float().mean() == pytest.approx(0.30 + 0.7 * 0.2**3, abs=0.03)
    assert (fields.sum(1) == 3).float().mean() == pytest.approx(0.7 * 0.8**3, abs=0.03)
