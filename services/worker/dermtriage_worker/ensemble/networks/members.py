"""The networks an ensemble may be made of, by name."""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from dermtriage_worker.ensemble import metadata
from dermtriage_worker.ensemble.networks.headless import EfficientNetLite0, MobileNetV2


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


class PatientBranch(nn.Module):
    """What age, sex and site add to the logits of a photograph.

    Nothing has a bias, so what is not known adds exactly nothing, and a photograph that comes
    alone is judged as if the branch were not there.

    Input (n, f) as `metadata.encode` makes it; output (n, classes).
    """

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(metadata.WIDTH, width, bias=False),
            nn.Tanh(),
            nn.Linear(width, classes, bias=False),
        )

    def forward(self, patients: Tensor) -> Tensor:
        """Compute what is added to the logits, shape (n, classes)."""
        added: Tensor = self.layers(patients)
        return added


class LesionNet(nn.Module):
    """A small residual network for lesions and their bearers, trained from scratch.

    Dense 3x3 convolutions only: on CPUs and GPUs alike they reach far more of the arithmetic
    peak than depthwise ones. The head sees the mean and the maximum of each feature map, because
    a lesion's danger may sit in one corner of it (a blue-white veil, a network's rim) that a mean
    alone dilutes.

    Input (n, 3, s, s) with s a multiple of 16; output (n, classes) logits, to which the branch
    `patient` adds what is known of the patient; see `patient_branch`.
    """

    def __init__(
        self, classes: int, widths: tuple[int, int, int] = (40, 72, 96), dropout: float = 0.2
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
        self.patient = PatientBranch(classes)

    def forward(self, values: Tensor) -> Tensor:
        """Compute the photographs' logits, shape (n, classes)."""
        maps = self.blocks(self.stem(values))
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits


def _lesionnet_tiny(classes: int) -> nn.Module:
    return LesionNet(classes, widths=(8, 8, 16))


_OWN: dict[str, Callable[[int], nn.Module]] = {
    "efficientnet_lite0_headless": EfficientNetLite0,
    "lesionnet": LesionNet,
    "lesionnet_tiny": _lesionnet_tiny,
    "mobilenet_v2_headless": MobileNetV2,
}

FULL_PRECISION: dict[str, tuple[str, ...]] = {
    "efficientnet_lite0_headless": tuple(f"features.{stage}." for stage in range(9)),
    "lesionnet": ("stem.",),
    "lesionnet_tiny": ("stem.",),
    "mobilenet_v2": tuple(f"features.{stage}." for stage in range(9)),
    "mobilenet_v2_headless": tuple(f"features.{stage}." for stage in range(9)),
}
"""Parts, by the beginning of their names, that bfloat16 would spoil; all of what is not named.

The first stages of MobileNetV2 take small differences of large numbers: in bfloat16 they move
p_severe by up to 0.28, all later ones together by less than 0.005.
"""

LARGE_MAPS: dict[str, int] = {
    "efficientnet_lite0_headless": 4,
    "mobilenet_v2": 4,
    "mobilenet_v2_headless": 4,
}
"""How many of the first stages make maps that fill a core's caches by a single view: a CPU computes
these a view at a time (see `apart`). Later maps are small, and the weights large."""

TAPS: dict[str, tuple[str, ...]] = {
    "efficientnet_lite0_headless": ("features.5", "features.8", "features.11"),
    "lesionnet_tiny": ("blocks.1", "blocks.3"),
}
"""Middle stages that tell whether a photograph shows a lesion at all; see `scope`. The last ones
know nothing but lesions, and the first ones nothing but edges."""


def patient_branch(network: nn.Module) -> PatientBranch | None:
    """Return what a network makes of the metadata; None if it sees photographs alone."""
    return network.patient if isinstance(network, LesionNet) else None


def is_architecture(name: str) -> bool:
    """Whether there is such a network: ours, or one of torchvision's classifiers."""
    return name in _OWN or name in torchvision.models.list_models(module=torchvision.models)


def create_network(architecture: str, classes: int) -> nn.Module:
    """Build a network with random weights.

    Raises
    ------
    KeyError
        If there is no such architecture; see `is_architecture`.
    """
    if architecture in _OWN:
        return _OWN[architecture](classes)
    if not is_architecture(architecture):
        raise KeyError(architecture)
    network: nn.Module = torchvision.models.get_model(architecture, num_classes=classes)
    return network
