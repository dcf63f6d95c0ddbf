"""LesionNet: a small residual network for lesions, which also reads the patient's metadata."""

import torch
from torch import Tensor, nn

from dermtriage_worker.ensemble import metadata


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; a pooled, projected shortcut where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, stride)
        self.second = _convolution(outputs, outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                # A strided 1x1 convolution would skip three pixels of four; pooling keeps them.
                nn.AvgPool2d(stride),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )

    def forward(self, values: Tensor) -> Tensor:
        inner = torch.relu(self.first(values))
        return torch.relu(self.second(inner) + self.shortcut(values))


class PatientBranch(nn.Module):
    """From the patient's metadata (age, sex, site) to a term that is added to the logits.

    No layer has a bias, so a field that is unknown adds exactly zero, and a photograph without
    metadata is scored as if the branch were absent.

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
        """Compute the term for the logits, shape (n, classes)."""
        added: Tensor = self.layers(patients)
        return added


class LesionNet(nn.Module):
    """A small residual network, trained from scratch.

    It has dense 3x3 convolutions only: on CPUs and GPUs they reach a far larger share of the
    arithmetic peak than depthwise ones. The classifier reads the mean and the maximum of each
    feature map, because the sign of danger may be in one corner of a lesion (a blue-white veil, an
    atypical network), where the mean alone dilutes it.

    Input (n, 3, s, s) with s a multiple of 16; output (n, classes) logits of the photographs.
    The branch `patient` computes what the metadata adds; see `registry.patient_branch`.
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
