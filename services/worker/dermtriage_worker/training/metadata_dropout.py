"""Metadata in training: often absent, so that nothing comes to rely on it."""

import torch
from torch import Tensor

from dermtriage_worker.ensemble.metadata import COLUMNS

_WHOLLY_KEPT = 0.7
_FIELD_KEPT = 0.8


def drop_fields(patients: Tensor, generator: torch.Generator) -> Tensor:
    """Leave out all fields of three in ten photographs, and of the others each fifth field.

    Parameters
    ----------
    patients
        As `metadata.encode` writes them, shape (n, f).
    """
    kept = torch.zeros_like(patients)
    known = torch.rand(len(patients), 1, generator=generator) < _WHOLLY_KEPT
    for columns in COLUMNS.values():
        kept[:, columns] = (
            known & (torch.rand(len(patients), 1, generator=generator) < _FIELD_KEPT)
        ).float()
    return patients * kept
