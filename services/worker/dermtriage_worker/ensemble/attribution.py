"""Which parts of a photograph made its score severe: a heat map.

Integrated gradients (Sundararajan, Taly and Yan 2017) of the ensemble's log-odds of a severe
lesion, on the way from plain skin, which is the photograph with every pixel in the colour of its
skin, to the photograph. What all pixels are given sums to the difference between the two scores,
so the map divides up the very figure that is reported, of all members at once. It works on
pixels: no layer of any network is singled out, and members of any kind can be explained.
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
"""On the way from plain skin to the photograph, at Gauss and Legendre's places. Each is a forward
and a backward pass of every member over one view; a backward pass costs about two forward ones."""

_LEAST = 3e-7
"""Log-odds a pixel: where none is worth as much, a map shows next to nothing."""

_SMOOTH = 4.0
"""Sigma in pixels of the square: what a clinician can tell apart at a glance."""


def heat_maps(ensemble: "Ensemble", squares: Tensor) -> Tensor:
    """Show what raised the severe score of prepared photographs.

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
    # What half of the pixels get is the noise of the method, on skin as on the lesion.
    floor = smooth.flatten(1).median(1).values
    smooth = (smooth - floor[:, None, None]).clamp_min(0)
    return smooth / smooth.amax((1, 2), keepdim=True).clamp_min(_LEAST)


def attributions(ensemble: "Ensemble", squares: Tensor, *, steps: int = STEPS) -> Tensor:
    """Divide the severe log-odds of photographs among their pixels.

    Parameters
    ----------
    ensemble, squares
        See `heat_maps`.
    steps
        Of the numeric integral.

    Returns
    -------
    Tensor
        float32 on the CPU, shape (n, 3, s, s). Each photograph's sum is about the log-odds of
        the photograph less those of `skin_baseline`.
    """
    method = IntegratedGradients(lambda values: severe_log_odds(ensemble, values))
    divided: Tensor = method.attribute(
        squares.to(ensemble.device, torch.float32),
        skin_baseline(squares).to(ensemble.device),
        n_steps=steps,
        internal_batch_size=len(squares),
    )
    return divided.float().cpu()


def severe_log_odds(ensemble: "Ensemble", values: Tensor) -> Tensor:
    """Log-odds of a severe lesion by the photograph alone, in one view; may be differentiated.

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
    """Give every pixel the colour of its photograph's skin; a round black border stays.

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
