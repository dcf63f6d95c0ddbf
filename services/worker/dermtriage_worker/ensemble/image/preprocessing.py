"""Preprocessing: from a photograph to a network's input, the same in training and in serving.

A photograph becomes one small square of bytes on the decoding thread (`decode_for`, `prepare`); the
rest (resampling to a member's input size, normalisation) happens in the batch, on the device
(`normalise`). Training and evaluation call the same functions, so that their figures hold in
serving.
"""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor

from dermtriage.imaging.rendition import open_rendition
from dermtriage_worker.ensemble.device import single_threaded

CANONICAL_SIZE = 150
"""Side of the prepared square in pixels, unless a release's manifest says otherwise."""


def resample(image: Image.Image, width: int, height: int) -> Tensor:
    """Cut the largest centred box of the wanted aspect out of an image and resample it.

    The box measures whole pixels, so that a photograph of the wanted size is returned unchanged.

    The triangle filter is widened by the scale when shrinking (area-like, no aliasing), so a
    photograph of 600x450 or of 12 megapixels shows the same content as its 200x150 copy.

    Parameters
    ----------
    image
        Photograph in any mode and size, already turned upright.
    width, height
        Size of the result in pixels.

    Returns
    -------
    Tensor
        uint8, shape (3, height, width), RGB.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    scale = min(rgb.width / width, rgb.height / height)
    across, down = rgb.width - round(width * scale), rgb.height - round(height * scale)
    if across % 2 or down % 2:
        # The box begins within a pixel, which torch cannot do.
        box = (across / 2, down / 2, rgb.width - across / 2, rgb.height - down / 2)
        small: Tensor = pil_to_tensor(rgb.resize((width, height), Image.Resampling.BILINEAR, box))
        return small.contiguous()
    left, top = across // 2, down // 2
    cut: Tensor = pil_to_tensor(rgb)[:, top : rgb.height - top, left : rgb.width - left]
    if cut.shape[1:] != (height, width):
        # On bytes it takes a third of Pillow's time, and differs from it only by rounding.
        with single_threaded():
            (cut,) = functional.interpolate(
                cut[None], (height, width), mode="bilinear", antialias=True
            )
    return cut.contiguous()


def prepare(image: Image.Image, size: int = CANONICAL_SIZE) -> Tensor:
    """Make the square that every member of an ensemble starts from.

    Parameters
    ----------
    image
        Photograph in any mode, size and aspect ratio, already turned upright.
    size
        Side of the square in pixels.

    Returns
    -------
    Tensor
        uint8, shape (3, size, size), RGB: the centred square of the photograph.
    """
    return resample(image, size, size)


def decode_for(rendition: bytes, size: int = CANONICAL_SIZE) -> Image.Image:
    """Decode a stored rendition as far as a square of this size needs it.

    The decoded side is at least 1.5 times the square's, so that the result depends on our filter
    and hardly on the decoder.

    Raises
    ------
    ImageRejected
        If the bytes cannot be decoded.
    """
    return open_rendition(rendition, min_side=size * 3 // 2)


def normalise(batch: Tensor, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Turn prepared squares into a member's input, on the device where they lie.

    Parameters
    ----------
    batch
        uint8, shape (n, 3, s, s).
    size
        Side of the member's input in pixels.
    mean, std
        A figure per channel, for values in 0..1.

    Returns
    -------
    Tensor
        float32, shape (n, 3, size, size), channels last in memory.
    """
    values = batch.to(torch.float32, memory_format=torch.channels_last) / 255.0
    if values.shape[-1] != size:
        values = functional.interpolate(values, (size, size), mode="bilinear", antialias=True)
    centre = torch.tensor(mean, device=batch.device).view(1, 3, 1, 1)
    spread = torch.tensor(std, device=batch.device).view(1, 3, 1, 1)
    return ((values - centre) / spread).contiguous(memory_format=torch.channels_last)
