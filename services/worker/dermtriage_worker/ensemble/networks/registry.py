"""The architectures that a member may have, by name, and what serving knows of each."""

from collections.abc import Callable

import torchvision
from torch import nn

from dermtriage_worker.ensemble.networks.efficientnet_lite import EfficientNetLite0
from dermtriage_worker.ensemble.networks.lesionnet import LesionNet, PatientBranch
from dermtriage_worker.ensemble.networks.mobilenet import MobileNetV2


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
"""Prefixes of the layers that stay in float32. An architecture that is not listed stays whole.

The first stages of MobileNetV2 take small differences of large numbers: in bfloat16 they move
p_severe by up to 0.28, all later ones together by less than 0.005.
"""

TAPS: dict[str, tuple[str, ...]] = {
    "efficientnet_lite0_headless": ("features.5", "features.8", "features.11"),
    "lesionnet_tiny": ("blocks.1", "blocks.3"),
}
"""Middle stages whose activations are the features of out-of-distribution detection; see
`ensemble.ood`. The last stages tell lesions apart and nothing else, the first ones only edges."""


def patient_branch(network: nn.Module) -> PatientBranch | None:
    """Return the network's branch for metadata; None if it reads photographs alone."""
    return network.patient if isinstance(network, LesionNet) else None


def is_architecture(name: str) -> bool:
    """Whether an architecture exists: one of ours, or one of torchvision's classifiers."""
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
