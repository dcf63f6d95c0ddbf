"""The training loss, and the class frequencies that it is adjusted by."""

import torch
from torch import Tensor
from torch.nn import functional

from dermtriage.core.enums import CLASSES
from dermtriage_worker.evaluation.figures import severe_mask


def class_log_prior(labels: Tensor) -> Tensor:
    """Return the logarithm of each class's share of the labels: float32, shape (7,)."""
    counts = torch.bincount(labels, minlength=len(CLASSES)).float().clamp(min=1)
    return (counts / counts.sum()).log()


def training_loss(
    logits: Tensor, labels: Tensor, log_prior: Tensor, *, severe_weight: float
) -> Tensor:
    """Compute the logit-adjusted cross-entropy, and that of severe against benign if it counts.

    After Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021): the logits learn to
    rank as if all classes were equally frequent, and calibration puts the frequencies back.

    Parameters
    ----------
    logits
        Float32, shape (n, 7).
    labels
        Class indices, shape (n,).
    log_prior
        See `class_log_prior`; on the device of the logits.
    severe_weight
        Weight of the binary cross-entropy of severe against benign; 0 leaves it out.

    Returns
    -------
    Tensor
        Mean over the batch, shape ().
    """
    adjusted = logits + log_prior
    loss = functional.cross_entropy(adjusted, labels)
    if not severe_weight:
        return loss
    severe = torch.from_numpy(severe_mask()).to(logits.device)
    log_odds = adjusted[:, severe].logsumexp(1) - adjusted[:, ~severe].logsumexp(1)
    binary = functional.binary_cross_entropy_with_logits(log_odds, severe[labels].float())
    return loss + severe_weight * binary
