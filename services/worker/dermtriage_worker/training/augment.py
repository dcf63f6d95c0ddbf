"""Augmentation: distortions as by other cameras and clinics, for a whole batch at once."""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.image.views import dihedral_view
from dermtriage_worker.training.config import AugmentConfig
from dermtriage_worker.training.hair_and_ink import HAIRS, INK, draw_strokes

_HAIR_COLOURS = ((0.02, 0.30), (0.02, 0.22), (0.02, 0.18))
_INK_COLOURS = ((0.10, 0.45), (0.05, 0.35), (0.35, 0.75))
"""Ranges of red, green and blue: dark brown to black, and violet to blue."""


class Augmentation:
    """Distort frames at random into network-sized squares.

    Geometry (flips, quarter turns, rotation, zoom, stretch, shift) is one resampling; then hairs
    and ink on the skin, the colours of another camera and lamp, blur or sharpening, a
    dermatoscope's round border, and JPEG.

    Parameters
    ----------
    config
        Ranges and shares.
    size
        Side of the result in pixels. Without zoom it shows the frame's centred square.
    seed
        Of the hairs and ink strokes, which are drawn once and laid over in one of eight
        orientations.
    """

    def __init__(self, config: AugmentConfig, size: int, *, seed: int) -> None:
        self._config = config
        self._size = size
        self._hairs = draw_strokes(HAIRS, 96, size, seed=seed)
        self._inks = draw_strokes(INK, 32, size, seed=seed + 1)

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Distort a batch.

        Parameters
        ----------
        frames
            uint8, shape (n, 3, h, w) with w >= h.
        generator
            Source of all randomness.

        Returns
        -------
        Tensor
            float32 in 0..1, shape (n, 3, size, size).
        """
        config = self._config
        values = _warp(frames.float() / 255.0, self._size, config, generator)
        values = _cover(values, self._hairs, config.hair_share, _HAIR_COLOURS, generator)
        values = _cover(values, self._inks, config.ink_share, _INK_COLOURS, generator)
        values = _recolour(values, config, generator)
        values = _blur_or_sharpen(values, config, generator)
        values = _vignette(values, config, generator)
        return _compress(values, config, generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _chosen(count: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.nonzero(torch.rand(count, generator=generator) < share).flatten()


def _warp(frames: Tensor, size: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    count, _, height, width = frames.shape
    low, high = (math.log(bound) for bound in config.zoom)
    # The mean of two uniform draws is mostly near the middle: strong zooms are rare, as in clinics.
    zoom = (_uniform(count, low, high, generator) + _uniform(count, low, high, generator)) / 2
    zoom = zoom.exp()
    stretch = _uniform(count, -config.stretch, config.stretch, generator).exp()
    angle = math.radians(config.rotation_degrees)
    turn = _uniform(count, -angle, angle, generator)
    turn = turn + torch.randint(0, 4, (count,), generator=generator) * (math.pi / 2)
    flip = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0
    across, down = torch.cos(turn), torch.sin(turn)
    # Rows map output coordinates (-1..1 over the square) to the frame's (-1..1 over each side).
    aspect = height / width
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = flip * across / (zoom * stretch) * aspect
    matrix[:, 0, 1] = -down / (zoom * stretch) * aspect
    matrix[:, 1, 0] = flip * down * stretch / zoom
    matrix[:, 1, 1] = across * stretch / zoom
    matrix[:, 0, 2] = _uniform(count, -config.shift, config.shift, generator) * aspect
    matrix[:, 1, 2] = _uniform(count, -config.shift, config.shift, generator)
    grid = functional.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    return functional.grid_sample(
        frames, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _recolour(values: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    count = len(values)
    shape = (count, 1, 1, 1)

    def factor() -> Tensor:
        return _uniform(count, 1 - config.tone, 1 + config.tone, generator).view(shape)

    cast = _uniform(count * 3, 1 - config.channel_gain, 1 + config.channel_gain, generator)
    values = values * cast.view(count, 3, 1, 1) * factor()
    grey = values.mean(1, keepdim=True)
    values = grey + (values - grey) * factor()
    level = grey.mean((2, 3), keepdim=True)
    values = level + (values - level) * factor()
    return values.clamp(1e-4, 1.0).pow(factor())


def _cover(
    values: Tensor,
    strokes: Tensor,
    share: float,
    colours: tuple[tuple[float, float], ...],
    generator: torch.Generator,
) -> Tensor:
    """Lay drawn strokes of a random colour over a share of the pictures."""
    chosen = _chosen(len(values), share, generator)
    if not len(chosen):
        return values
    picked = torch.randint(0, len(strokes), (len(chosen),), generator=generator)
    turns = torch.randint(0, 8, (len(chosen),), generator=generator).tolist()
    laid = torch.stack(
        [dihedral_view(strokes[which], index) for which, index in zip(picked, turns, strict=True)]
    )
    opacity = laid[:, None] / 255.0 * _uniform(len(chosen), 0.5, 1.0, generator).view(-1, 1, 1, 1)
    colour = torch.stack(
        [_uniform(len(chosen), low, high, generator) for low, high in colours], dim=1
    )[:, :, None, None]
    covered = values[chosen] * (1 - opacity) + colour * opacity
    return values.index_copy(0, chosen, covered)


def _blur_or_sharpen(values: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Blur some pictures and sharpen others, both by unsharp masking: blur has amount -1."""
    draw = torch.rand(len(values), generator=generator)
    chosen = torch.nonzero(draw < config.blur_share + config.sharpen_share).flatten()
    if not len(chosen):
        return values
    sigma = _uniform(len(chosen), *config.blur_sigma, generator)
    sharpened = _uniform(len(chosen), *config.sharpen_amount, generator)
    amount = torch.where(draw[chosen] < config.blur_share, -1.0, sharpened).view(-1, 1, 1, 1)
    picked = values[chosen]
    blurred = _gaussian(picked, sigma, math.ceil(2.5 * config.blur_sigma[1]))
    return values.index_copy(0, chosen, (picked + amount * (picked - blurred)).clamp(0, 1))


def _gaussian(values: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Blur each picture by its own sigma, in pixels."""
    offsets = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-(offsets**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, dim=0)
    # Each channel of each picture is a group of its own, so that each has its own width.
    flat = values.reshape(1, -1, *values.shape[2:])
    groups = flat.shape[1]
    flat = functional.pad(flat, (reach, reach, reach, reach), mode="reflect")
    flat = functional.conv2d(flat, kernel[:, None, None, :], groups=groups)
    flat = functional.conv2d(flat, kernel[:, None, :, None], groups=groups)
    return flat.reshape(values.shape)


def _vignette(values: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    chosen = _chosen(len(values), config.vignette_share, generator)
    if not len(chosen):
        return values
    axis = torch.linspace(-1, 1, values.shape[-1])
    shape = (len(chosen), 1, 1)
    x = axis.view(1, 1, -1) - _uniform(len(chosen), -0.08, 0.08, generator).view(shape)
    y = axis.view(1, -1, 1) - _uniform(len(chosen), -0.08, 0.08, generator).view(shape)
    radius = _uniform(len(chosen), *config.vignette_radius, generator).view(shape)
    softness = _uniform(len(chosen), 0.01, 0.15, generator).view(shape)
    inside = torch.sigmoid((radius - torch.hypot(x, y)) / softness * 4)[:, None]
    border = _uniform(len(chosen), 0.0, 0.12, generator).view(-1, 1, 1, 1)
    return values.index_copy(0, chosen, values[chosen] * inside + border * (1 - inside))


def _compress(values: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    low, high = config.jpeg_quality
    for index in _chosen(len(values), config.jpeg_share, generator).tolist():
        quality = int(torch.randint(low, high + 1, (1,), generator=generator))
        pixels = (values[index] * 255).to(torch.uint8).permute(1, 2, 0).numpy()
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
        with Image.open(encoded) as image:
            values[index] = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255.0
    return values
