"""Distortions under which the out-of-distribution detector is fitted and its threshold set."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from dermtriage_worker.ensemble.image.preprocessing import CANONICAL_SIZE
from dermtriage_worker.training.augment import Augmentation
from dermtriage_worker.training.config import AugmentConfig

WIDE = AugmentConfig(zoom=(0.5, 1.9))
"""Training's distortions with a wider zoom, so that what is rare in training is in distribution."""

UNDISTORTED = AugmentConfig(
    zoom=(1, 1), shift=0, stretch=0, channel_gain=0, tone=0, hair_share=0, ink_share=0,
    blur_share=0, sharpen_share=0, jpeg_share=0, vignette_share=0,
)  # fmt: skip

CONDITIONS: Mapping[str, AugmentConfig] = {
    "none": UNDISTORTED,
    "wide": WIDE,
    "smaller": UNDISTORTED.model_copy(update={"zoom": (0.6, 0.6)}),
    "larger": UNDISTORTED.model_copy(update={"zoom": (1.6, 1.6)}),
    "cast": UNDISTORTED.model_copy(update={"channel_gain": 0.2}),
    "border": UNDISTORTED.model_copy(update={"vignette_share": 1, "vignette_radius": (0.8, 0.8)}),
    "blur": UNDISTORTED.model_copy(update={"blur_share": 1, "blur_sigma": (1.4, 1.4)}),
    "jpeg": UNDISTORTED.model_copy(update={"jpeg_share": 1, "jpeg_quality": (20, 20)}),
    "hair": UNDISTORTED.model_copy(update={"hair_share": 1}),
}
"""The threshold must hold in each of these; a mean over them would hide the worst."""

SKIN = WIDE.model_copy(update={"zoom": (1.0, 1.4), "hair_share": 0.0, "ink_share": 0.0})
"""For patches of plain skin."""


def distort(frames: Tensor, config: AugmentConfig, seed: int) -> Tensor:
    """Distort frames, uint8, shape (n, 3, h, w), into squares: uint8, shape (n, 3, s, s)."""
    values = _augmentation(config)(frames, torch.Generator().manual_seed(seed))
    return (values * 255).round().clamp(0, 255).to(torch.uint8)


@cache
def _augmentation(config: AugmentConfig) -> Augmentation:
    return Augmentation(config, CANONICAL_SIZE, seed=0)
