"""What one forward pass costs."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.networks.registry import create_network


def gmac(architecture: str, input_size: int) -> float:
    """Count 1e9 multiply-accumulates of one view in convolutions and linear layers."""
    network = create_network(architecture, len(CLASSES)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, input_size, input_size))
    # A multiply-accumulate counts as two floating-point operations.
    return float(counter.get_total_flops()) / 2e9
