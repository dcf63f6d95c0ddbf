"""Attribution maps of the severe score, which the console shows as heat maps.

The method is integrated gradients (Sundararajan, Taly and Yan 2017) of the ensemble's log-odds of a
severe lesion. The baseline is plain skin: the photograph with every pixel in its skin's colour. The
attributions of all pixels sum to the difference in log-odds between photograph and baseline, so the
map explains the reported score, of all members together. It reads no particular layer, so it works
for members of any architecture.
"""

import math
from typing import TYPE_CHECKING

import torch
from captum.attr import IntegratedGradients
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.calibration import SEVERE_INDICES, calibrated
from dermtriage_worker.ensemble.image.skin import grey_levels, inside_border, skin_cells

if TYPE_CHECKING:
    from dermtriage_worker.ensemble.inference import Ensemble

STEPS = 4
"""Gauss-Legendre nodes between baseline and photograph. Each is a forward and a backward pass of
every member over one view; a backward pass costs about as much as two forward passes."""

_MIN_SCALE = 3e-7
"""Log-odds per pixel: a map whose largest attribution is smaller stays nearly empty."""

_SMOOTH = 4.0
"""Sigma of the smoothing in pixels of the square: finer detail cannot be seen at a glance."""


def heat_maps(ensemble: "Ensemble", squares: Tensor) -> Tensor:
    """Compute heat maps of what raised the severe score of prepared photographs.

    Parameters
    ----------
    ensemble
        A loaded release.
    squares
        uint8, shape (n, 3, s, s), as `Ensemble.prepare` makes them.

    Returns
    -------
    Tensor
        float32 on the CPU, shape (n, s, s), 0..1: 1 where the score was raised most, and
        about 0 everywhere if nothing raised it.
    """
    raised = attributions(ensemble, squares).sum(1).clamp_min(0)
    smooth = _gaussian(raised, _SMOOTH)
    # The median attribution is noise of the method, which is as large on skin as on the lesion.
    floor = smooth.flatten(1).median(1).values
    smooth = (smooth - floor[:, None, None]).clamp_min(0)
    return smooth / smooth.amax((1, 2), keepdim=True).clamp_min(_MIN_SCALE)


def attributions(ensemble: "Ensemble", squares: Tensor, *, steps: int = STEPS) -> Tensor:
    """Attribute the severe log-odds of photographs to their pixels.

    Parameters
    ----------
    ensemble, squares
        See `heat_maps`.
    steps
        Number of nodes of the numeric integral.

    Returns
    -------
    Tensor
        float32 on the CPU, shape (n, 3, s, s). Each photograph's sum is about the log-odds of
        the photograph less those of `skin_baseline`.
    """
    method = IntegratedGradients(lambda values: severe_log_odds(ensemble, values))
    attributed: Tensor = method.attribute(
        squares.to(ensemble.device, torch.float32),
        skin_baseline(squares).to(ensemble.device),
        n_steps=steps,
        internal_batch_size=len(squares),
    )
    return attributed.float().cpu()


def severe_log_odds(ensemble: "Ensemble", values: Tensor) -> Tensor:
    """Compute the log-odds of a severe lesion without metadata, in one view; differentiable.

    Parameters
    ----------
    values
        0..255, shape (n, 3, s, s), on the ensemble's device.

    Returns
    -------
    Tensor
        Shape (n,).
    """
    manifest = ensemble.manifest
    logits = [network.logits_by_view(values, 1)[0] for network in ensemble.networks]
    probabilities, _ = calibrated(logits, manifest.members, manifest.calibration)
    severe: Tensor = probabilities[:, SEVERE_INDICES].sum(1).clamp(1e-7, 1 - 1e-7)
    return torch.logit(severe)


def skin_baseline(squares: Tensor) -> Tensor:
    """Return the baseline: every pixel in the colour of the skin; a round black border stays.

    Parameters
    ----------
    squares
        uint8, shape (n, 3, s, s).

    Returns
    -------
    Tensor
        float32, 0..255, of the same shape.
    """
    values = squares.float() / 255.0
    inside = inside_border(grey_levels(values))
    _, _, skin = skin_cells(values, inside)
    return torch.where(inside[:, None], skin[:, :, None, None], values) * 255.0


def _gaussian(maps: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=maps.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(maps[:, None], (reach, reach, reach, reach), mode="replicate")
    across = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(across, kernel.view(1, 1, -1, 1))[:, 0]
