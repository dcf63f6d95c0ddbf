"""Metadata dropout: in training metadata is often absent, so that no network depends on it."""

import torch
from torch import Tensor

from dermtriage_worker.ensemble.metadata import COLUMNS

_KEEP_PATIENT = 0.7
_KEEP_FIELD = 0.8
"""Probability that a patient's metadata is kept at all, and then each field of it."""


def drop_fields(patients: Tensor, generator: torch.Generator) -> Tensor:
    """Drop at random all fields of 30 % of the photographs, and 20 % of the fields of the others.

    Parameters
    ----------
    patients
        As `metadata.encode` writes them, shape (n, f).
    """
    kept = torch.zeros_like(patients)
    known = torch.rand(len(patients), 1, generator=generator) < _KEEP_PATIENT
    for columns in COLUMNS.values():
        kept[:, columns] = (
            known & (torch.rand(len(patients), 1, generator=generator) < _KEEP_FIELD)
        ).float()
    return patients * kept
