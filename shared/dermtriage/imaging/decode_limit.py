"""How many photographs a process decodes at once."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SLOTS = threading.BoundedSemaphore(os.cpu_count() or 1)


@contextmanager
def decode_slot() -> Iterator[None]:
    """Wait for one of the process's decode slots, one per CPU, and hold it.

    Decoding a hostile file takes hundreds of megabytes; the slots bound the sum.
    """
    with _SLOTS:
        yield
