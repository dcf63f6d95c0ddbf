"""Fit the out-of-distribution detector: see `ensemble.ood`.

The distribution of each member is fitted without the lesions of its fold, and its threshold is set
on those alone, so that out-of-fold figures hold for the release.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.networks.registry import TAPS
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.ensemble.ood import CLIP, LesionDistribution, OodDetector
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.training.config import AugmentConfig
from dermtriage_worker.training.distortions import CONDITIONS, SKIN, UNDISTORTED, WIDE, distort
from dermtriage_worker.training.ood_features import distorted_features, ood_features
from dermtriage_worker.training.skin_patches import cut_skin_patches

OOD_FILE = "ood.safetensors"

MAX_FLAGGED = 0.006
"""Largest false-positive rate on out-of-fold lesions, in the worst of the conditions."""

_CONTRAST_WEIGHT = 3.0
"""The two contrasts are penalised less than the hundreds of other features."""
_PENALTY = 0.01
_MIN_SPREAD = 1e-4


@dataclass(frozen=True)
class OodFitOptions:
    """Sample sizes and conditions of the fit.

    Attributes
    ----------
    lesions
        Number of photographs that a distribution is fitted on, each distorted once; a quarter of
        them also undistorted.
    unseen
        Number of photographs of the member's own fold that its threshold is set on, in each
        condition.
    skin
        Number of patches of plain skin.
    directions
        Rank of the covariance.
    conditions
        Distortions that the threshold must hold for, by name.
    """

    lesions: int = 3000
    unseen: int = 700
    skin: int = 600
    directions: int = 64
    conditions: Mapping[str, AugmentConfig] = field(default_factory=lambda: CONDITIONS)


def fit_ood_detector(
    members: Sequence[tuple[Member, ScoringNetwork]],
    records: Sequence[Labelled],
    folds: Sequence[int],
    *,
    data: Path,
    seed: int,
    on_progress: Callable[[str], None] = lambda _: None,
    options: OodFitOptions | None = None,
) -> tuple[dict[str, Tensor], float] | None:
    """Fit a distribution of lesions for every member whose architecture has taps.

    Parameters
    ----------
    members
        Entries of the manifest with their networks.
    records
        All photographs of the data set.
    folds
        The fold of each.
    data
        The data set's folder, for masks.
    seed
        Of the samples and distortions.
    on_progress
        Called with a sentence for each member.
    options
        Sample sizes and conditions.

    Returns
    -------
    tuple or None
        Tensors for `OOD_FILE`, and the threshold for the manifest; None if no member has taps, or
        no patch of plain skin was found.
    """
    options = options or OodFitOptions()
    distributions: dict[str, LesionDistribution] = {}
    thresholds: list[float] = []
    for member, network in members:
        if member.architecture not in TAPS:
            continue
        generator = np.random.default_rng([seed, member.fold or 0])
        order = [int(index) for index in generator.permutation(len(records))]
        training = [records[index] for index in order if folds[index] != member.fold]
        unseen = [records[index] for index in order if folds[index] == member.fold] or training
        on_progress(f"Fitting the out-of-distribution detector of {member.name}.")
        fitted = _fit(network, training, data, seed, options)
        if fitted is None:
            return None
        distributions[member.name], threshold = _set_offsets(
            fitted, network, unseen[: options.unseen], seed, options.conditions
        )
        thresholds.append(threshold)
    return (OodDetector(distributions).tensors(), max(thresholds)) if distributions else None


def _fit(
    network: ScoringNetwork,
    training: Sequence[Labelled],
    data: Path,
    seed: int,
    options: OodFitOptions,
) -> LesionDistribution | None:
    lesions = torch.cat(
        [
            distorted_features(network, training[: options.lesions], WIDE, seed=seed),
            distorted_features(network, training[: options.lesions // 4], UNDISTORTED, seed=seed),
        ]
    )
    patches = cut_skin_patches(training, data, count=options.skin, seed=seed)
    if not len(patches):
        return None
    # Distorted like the lesions, or the regression would learn to detect distortions.
    skin = ood_features(network, torch.cat([patches, distort(patches, SKIN, seed)]))
    centre, spread = lesions.mean(0), lesions.std(0).clamp_min(_MIN_SPREAD)
    scaled = (lesions - centre) / spread
    variances, directions = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
    kept = min(options.directions, len(variances) - 1)
    return LesionDistribution(
        centre=centre,
        spread=spread,
        basis=directions[:, -kept:],
        variances=variances[-kept:].clamp_min(_MIN_SPREAD),
        rest=variances[:-kept].mean().clamp_min(_MIN_SPREAD),
        plain=_plain_skin_weights(scaled, (skin - centre) / spread),
        offsets=torch.zeros(2),
        scales=torch.ones(2),
    )


def _plain_skin_weights(lesions: Tensor, skin: Tensor) -> Tensor:
    """Fit the regression for plain skin on standardised features; return its weights."""
    emphasis = torch.ones(lesions.shape[1])
    emphasis[-2:] = _CONTRAST_WEIGHT
    both: NDArray[np.float32] = (torch.cat([lesions, skin]).clamp(-CLIP, CLIP) * emphasis).numpy()
    is_skin = np.repeat([0, 1], [len(lesions), len(skin)])
    model = LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=2000)
    model.fit(both, is_skin)
    # The intercept is not needed: the offset is set later, on lesions that were not fitted on.
    return torch.from_numpy(model.coef_[0]).float() * emphasis


def _set_offsets(
    fitted: LesionDistribution,
    network: ScoringNetwork,
    unseen: Sequence[Labelled],
    seed: int,
    conditions: Mapping[str, AugmentConfig],
) -> tuple[LesionDistribution, float]:
    """Set the zero of each score at the most extreme unseen lesions; return also the threshold."""
    by_condition = [
        distorted_features(network, unseen, config, seed=seed + number)
        for number, config in enumerate(conditions.values(), start=1)
    ]
    # Each of the two scores may cause half of the false positives.
    raw = [fitted.raw_scores(features) for features in by_condition]
    extremes = torch.stack([scores.quantile(1 - MAX_FLAGGED / 2, dim=0) for scores in raw])
    fitted = replace(fitted, offsets=extremes.amax(0), scales=torch.cat(raw).std(0))
    extremes = torch.stack(
        [fitted.score(features).quantile(1 - MAX_FLAGGED) for features in by_condition]
    )
    return fitted, float(extremes.max().sigmoid())
