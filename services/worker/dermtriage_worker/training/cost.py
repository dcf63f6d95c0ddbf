"""The cost of a forward pass in multiply-accumulates."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.networks.registry import create_network


def gmac(architecture: str, input_size: int) -> float:
    """Return the cost of one view in 1e9 multiply-accumulates (convolutions, linear layers)."""
    network = create_network(architecture, len(CLASSES)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, input_size, input_size))
    # A multiply-accumulate counts as two floating-point operations.
    return float(counter.get_total_flops()) / 2e9
