"""Figures of a network in training on the photographs of its own fold."""

import torch
from torch import Tensor, nn

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.image.preprocessing import normalise
from dermtriage_worker.evaluation.figures import auc, balanced_accuracy, severe_mask
from dermtriage_worker.training.data import Sample
from dermtriage_worker.training.pretrained import IMAGENET_MEAN, IMAGENET_STD

_CHUNK = 64


def validate(
    network: nn.Module, validation: Sample, log_prior: Tensor, input_size: int
) -> dict[str, float]:
    """Measure one upright view, without metadata; the network is left in evaluation mode.

    Parameters
    ----------
    validation
        Prepared squares that the network is not trained on.
    log_prior
        See `class_log_prior`; on the CPU.
    input_size
        Side of the network's input in pixels.

    Returns
    -------
    dict
        `validation_auc` of p_severe, and `validation_balanced_accuracy` over the classes.
    """
    network.eval()
    device = next(network.parameters()).device
    parts = []
    with torch.inference_mode():
        for chunk in torch.split(validation.images, _CHUNK):
            values = normalise(chunk.to(device), input_size, IMAGENET_MEAN, IMAGENET_STD)
            parts.append(network(values).float().cpu())
    logits = torch.cat(parts)
    labels = validation.labels.numpy()
    p_severe = (logits + log_prior).softmax(1).numpy()[:, severe_mask()].sum(1)
    return {
        "validation_auc": auc(p_severe, severe_mask()[labels]),
        "validation_balanced_accuracy": balanced_accuracy(
            logits.argmax(1).numpy(), labels, len(CLASSES)
        ),
    }
