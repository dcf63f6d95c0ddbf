"""Memory that comes back every batch is not cleared anew every batch."""

import platform
import subprocess
import sys

import pytest

_COUNT = """
import resource
from dermtriage_worker.ensemble.cpu.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [b"x" * (10 << 20) for _ in range(4)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

lent = faults()
keep_freed_memory()
faults()
print(lent, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is glibc's")
def test_pages_are_touched_for_the_first_time_only_once() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _COUNT], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    lent, kept = map(int, said.split())
    assert kept < lent / 10
