"""How the scoring threads of a process share the cores of its CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CORES = torch.get_num_threads()
"""The cores that torch found for this process at its start."""


@contextmanager
def sharing_cores(threads: int) -> Iterator[None]:
    """Let the calling thread compute with its share of the cores.

    Parameters
    ----------
    threads
        How many threads share them, at least one.
    """
    # The setting holds for the calling thread alone.
    torch.set_num_threads(max(1, CORES // threads))
    try:
        yield
    finally:
        torch.set_num_threads(1)
