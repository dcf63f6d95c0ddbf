"""Fit what tells photographs of lesions from all others: see `ensemble.scope`.

Every judge is fitted without the lesions of its member's fold, and its thresholds are set on
those alone, so that what is measured out of fold holds for what is shipped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from dermtriage_worker.ensemble.image.preprocessing import CANONICAL_SIZE
from dermtriage_worker.ensemble.image.quality import measure_quality
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.members import TAPS
from dermtriage_worker.ensemble.networks.network import Network
from dermtriage_worker.ensemble.ood import Judge, Scope, join
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.training.augment import Augmentation
from dermtriage_worker.training.config import AugmentConfig
from dermtriage_worker.training.data import load_frames
from dermtriage_worker.training.plain_skin import plain_skin

SCOPE_FILE = "scope.safetensors"

FIT_PHOTOGRAPHS = 3000
"""Lesions that a judge learns from, each once distorted; a quarter of them undistorted too."""
CHECK_PHOTOGRAPHS = 700
"""Lesions of its fold that a judge's thresholds are set on, in each of `HARDSHIPS`."""
SKIN_PHOTOGRAPHS = 600
DIRECTIONS = 64
"""Of the features, along which a variance of its own is kept."""

MOST_FLAGGED = 0.006
"""Share of lesions out of fold, in the worst of `HARDSHIPS`, that may be flagged."""

WIDE = AugmentConfig(zoom=(0.5, 1.9))
"""Training's distortions, with strong zooms as frequent as weak ones: what is rare in training
shall not be strange."""

_GENTLE = AugmentConfig(
    zoom=(1, 1), shift=0, stretch=0, channel_gain=0, tone=0, hair_share=0, ink_share=0,
    blur_share=0, sharpen_share=0, jpeg_share=0, vignette_share=0,
)  # fmt: skip

HARDSHIPS: Mapping[str, AugmentConfig] = {
    "none": _GENTLE,
    "wide": WIDE,
    "smaller": _GENTLE.model_copy(update={"zoom": (0.6, 0.6)}),
    "larger": _GENTLE.model_copy(update={"zoom": (1.6, 1.6)}),
    "cast": _GENTLE.model_copy(update={"channel_gain": 0.2}),
    "border": _GENTLE.model_copy(update={"vignette_share": 1, "vignette_radius": (0.8, 0.8)}),
    "blur": _GENTLE.model_copy(update={"blur_share": 1, "blur_sigma": (1.4, 1.4)}),
    "jpeg": _GENTLE.model_copy(update={"jpeg_share": 1, "jpeg_quality": (20, 20)}),
    "hair": _GENTLE.model_copy(update={"hair_share": 1}),
}
"""In each of these the flag may touch few lesions; a mean over them would hide the worst."""

_CONTRAST_WEIGHT = 3.0
"""The two figures of contrast stand against hundreds of features: they are penalised less."""
_PENALTY = 0.01
_SMALLEST_SPREAD = 1e-4
_CHUNK = 50


def fit_scope(
    members: Sequence[tuple[Member, Network]],
    records: Sequence[Labelled],
    folds: Sequence[int],
    *,
    data: Path,
    seed: int,
    on_progress: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Tensor], float] | None:
    """Fit a judge for every member that can be tapped.

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

    Returns
    -------
    tuple or None
        Tensors for `SCOPE_FILE`, and the threshold for the manifest; None if there is nothing to
        tap, or no plain skin to learn from.
    """
    judges: dict[str, Judge] = {}
    farthest: list[float] = []
    for member, network in members:
        if member.architecture not in TAPS:
            continue
        generator = np.random.default_rng([seed, member.fold or 0])
        order = [int(index) for index in generator.permutation(len(records))]
        learnt = [records[index] for index in order if folds[index] != member.fold]
        unseen = [records[index] for index in order if folds[index] == member.fold] or learnt
        on_progress(f"Fitting the judge of scope of {member.name}.")
        judge = _fit(network, learnt, data, seed)
        if judge is None:
            return None
        judge, threshold = _set_offsets(judge, network, unseen[:CHECK_PHOTOGRAPHS], seed)
        judges[member.name] = judge
        farthest.append(threshold)
    return (Scope(judges).tensors(), max(farthest)) if judges else None


def _fit(network: Network, learnt: Sequence[Labelled], data: Path, seed: int) -> Judge | None:
    lesions = torch.cat(
        [
            _distorted(network, learnt[:FIT_PHOTOGRAPHS], WIDE, seed),
            _distorted(network, learnt[: FIT_PHOTOGRAPHS // 4], HARDSHIPS["none"], seed),
        ]
    )
    cut = plain_skin(learnt, data, count=SKIN_PHOTOGRAPHS, seed=seed)
    if not len(cut):
        return None
    # Distorted as lesions are, or the distortion would tell one from the other.
    skin = _features(network, torch.cat([cut, _distort(cut, _SKIN_CHANGES, seed)]))
    centre, spread = lesions.mean(0), lesions.std(0).clamp_min(_SMALLEST_SPREAD)
    scaled = (lesions - centre) / spread
    variances, directions = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
    kept = min(DIRECTIONS, len(variances) - 1)
    return Judge(
        centre=centre,
        spread=spread,
        basis=directions[:, -kept:],
        variances=variances[-kept:].clamp_min(_SMALLEST_SPREAD),
        rest=variances[:-kept].mean().clamp_min(_SMALLEST_SPREAD),
        plain=_tell_plain(scaled, (skin - centre) / spread),
        offsets=torch.zeros(2),
        scales=torch.ones(2),
    )


_SKIN_CHANGES = WIDE.model_copy(update={"zoom": (1.0, 1.4), "hair_share": 0.0, "ink_share": 0.0})


def _tell_plain(lesions: Tensor, skin: Tensor) -> Tensor:
    weighing = torch.ones(lesions.shape[1])
    weighing[-2:] = _CONTRAST_WEIGHT
    both: NDArray[np.float32] = (torch.cat([lesions, skin]).clamp(-8, 8) * weighing).numpy()
    is_skin = np.repeat([0, 1], [len(lesions), len(skin)])
    model = LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=2000)
    model.fit(both, is_skin)
    # The intercept is left out: the offset is set on lesions that the judge did not learn from.
    return torch.from_numpy(model.coef_[0]).float() * weighing


def _set_offsets(
    judge: Judge, network: Network, unseen: Sequence[Labelled], seed: int
) -> tuple[Judge, float]:
    """Put the zero of each part at the farthest of the unseen lesions; return the threshold."""
    hardships = [
        _distorted(network, unseen, config, seed + number)
        for number, config in enumerate(HARDSHIPS.values(), start=1)
    ]
    # The two parts share what may be flagged.
    parts = [judge.parts(features) for features in hardships]
    ends = torch.stack([part.quantile(1 - MOST_FLAGGED / 2, dim=0) for part in parts])
    judge = replace(judge, offsets=ends.amax(0), scales=torch.cat(parts).std(0))
    ends = torch.stack(
        [judge.evidence(features).quantile(1 - MOST_FLAGGED) for features in hardships]
    )
    return judge, float(ends.max().sigmoid())


def _distorted(
    network: Network, records: Sequence[Labelled], config: AugmentConfig, seed: int
) -> Tensor:
    """Features of photographs, distorted at random: shape (n, f)."""
    chunks = [
        _features(
            network, _distort(load_frames(records[start : start + _CHUNK]), config, seed + start)
        )
        for start in range(0, len(records), _CHUNK)
    ]
    return torch.cat(chunks)


def _distort(frames: Tensor, config: AugmentConfig, seed: int) -> Tensor:
    values = _augmentation(config)(frames, torch.Generator().manual_seed(seed))
    return (values * 255).round().clamp(0, 255).to(torch.uint8)


@cache
def _augmentation(config: AugmentConfig) -> Augmentation:
    return Augmentation(config, CANONICAL_SIZE, seed=0)


@torch.inference_mode()
def _features(network: Network, squares: Tensor) -> Tensor:
    return torch.cat(
        [
            join(
                network.tapped(Views(chunk), encode([{}] * len(chunk)))[1],
                measure_quality(list(chunk)),
            )
            for chunk in torch.split(squares, _CHUNK)
        ]
    )
