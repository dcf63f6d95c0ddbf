"""The networks an ensemble may be made of, by name."""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; a pooled, projected shortcut where it shrinks."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, stride)
        self.second = _convolution(outputs, outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                # Pooling first keeps what a strided 1x1 convolution would skip.
                nn.AvgPool2d(stride),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )

    def forward(self, values: Tensor) -> Tensor:
        inner = torch.relu(self.first(values))
        return torch.relu(self.second(inner) + self.shortcut(values))


class LesionNet(nn.Module):
    """A small residual network for lesions, trained from scratch.

    Dense 3x3 convolutions only: on CPUs and GPUs alike they reach far more of the arithmetic
    peak than depthwise ones. The head sees the mean and the maximum of each feature map, because
    a lesion's danger may sit in one corner of it (a blue-white veil, a network's rim) that a mean
    alone dilutes.

    Input (n, 3, s, s) with s a multiple of 16; output (n, classes) logits.
    """

    def __init__(
        self, classes: int, widths: tuple[int, int, int] = (48, 96, 192), dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 32, stride=2), nn.ReLU(inplace=True))
        blocks: list[nn.Module] = []
        inputs = 32
        for width in widths:
            blocks += [_ResidualBlock(inputs, width, 2), _ResidualBlock(width, width, 1)]
            inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2 * inputs, classes)

    def forward(self, values: Tensor) -> Tensor:
        """Compute logits, shape (n, classes)."""
        maps = self.blocks(self.stem(values))
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits


def _mobilenet_v2(classes: int) -> nn.Module:
    network: nn.Module = torchvision.models.mobilenet_v2(num_classes=classes)
    return network


def _lesionnet_tiny(classes: int) -> nn.Module:
    return LesionNet(classes, widths=(8, 8, 16))


ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {
    "lesionnet": LesionNet,
    "lesionnet_tiny": _lesionnet_tiny,
    "mobilenet_v2": _mobilenet_v2,
}

FULL_PRECISION: dict[str, tuple[str, ...]] = {
    "lesionnet": ("stem.",),
    "lesionnet_tiny": ("stem.",),
    "mobilenet_v2": tuple(f"features.{stage}." for stage in range(9)),
}
"""Parts, by the beginning of their names, that bfloat16 would spoil.

The first stages of MobileNetV2 take small differences of large numbers: in bfloat16 they move
p_severe by up to 0.28, all later ones together by less than 0.005.
"""


def create_network(architecture: str, classes: int) -> nn.Module:
    """Build a network with random weights.

    Raises
    ------
    KeyError
        If the architecture is not one of `ARCHITECTURES`.
    """
    return ARCHITECTURES[architecture](classes)
