"""A trained member that teaches another one of its fold."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from dermtriage.errors import DermtriageError
from dermtriage.states import CLASSES
from dermtriage_worker.ensemble.members import create_network

_TEMPERATURE = 2.0
_SHARE = 0.6


class TeacherMissing(DermtriageError):
    """A member is to be taught by one that is not trained."""

    code = "teacher_missing"
    remedy = "Train the teacher first: without --member, all are trained in their order."


class Teacher:
    """What a trained network says of the very squares that its pupil sees.

    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015): the pupil
    learns the teacher's doubts along with the labels. Teacher and pupil are of one fold, so
    neither saw its lesions.

    Raises
    ------
    TeacherMissing
        If `weights` is not there.
    """

    def __init__(self, architecture: str, weights: Path, device: torch.device) -> None:
        if not weights.is_file():
            raise TeacherMissing(f"There is no {weights}.")
        self._network = create_network(architecture, len(CLASSES)).eval().requires_grad_(False)
        self._network.load_state_dict(load_file(weights))
        self._network.to(device).to(memory_format=torch.channels_last)

    def loss(self, values: Tensor, logits: Tensor, given: Tensor) -> Tensor:
        """Mix the loss by the labels with the divergence from the teacher.

        Parameters
        ----------
        values
            What both networks see, normalised.
        logits
            The pupil's, float32.
        given
            The loss by the labels.
        """
        with torch.no_grad():
            taught = self._network(values).float()
        divergence = functional.kl_div(
            (logits / _TEMPERATURE).log_softmax(1),
            (taught / _TEMPERATURE).softmax(1),
            reduction="batchmean",
        )
        return (1 - _SHARE) * given + _SHARE * _TEMPERATURE**2 * divergence
