"""Which errors of loading a photograph are an outage, and how much memory is left."""

import subprocess
import sys

import pytest

from dermtriage.core.errors import (
    ImageRejected,
    NotFound,
    ObjectInaccessible,
    StoreMismatch,
    Unavailable,
)
from dermtriage_worker.scoring.failures import is_outage_of_loading


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [
        (Unavailable("x"), True),
        (StoreMismatch("x"), True),
        (ObjectInaccessible("x"), False),
        (NotFound("x"), False),
        (ImageRejected("x"), False),
        (MemoryError(), False),
        (OSError("x"), False),
    ],
)
def test_an_outage_is_what_other_photographs_meet_as_well(
    error: Exception, is_outage: bool
) -> None:
    assert is_outage_of_loading(error) is is_outage


def test_a_process_without_memory_has_an_outage() -> None:
    code = """
import resource
from dermtriage_worker.scoring.failures import is_outage_of_loading
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 8 * 2**20, -1))
print(is_outage_of_loading(MemoryError()))
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "True\n"
