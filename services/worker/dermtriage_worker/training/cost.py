"""What one forward pass costs."""

import torch
from torch import Tensor, nn

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.networks.registry import create_network


def gmac(architecture: str, input_size: int) -> float:
    """Count 1e9 multiply-accumulates of one view in convolutions and linear layers."""
    total = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.get_parameter("weight")
        total += output.numel() * weight[0].numel()

    network = create_network(architecture, len(CLASSES)).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, input_size, input_size))
    return total / 1e9
