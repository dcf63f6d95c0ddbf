"""A process that inspects photographs for another one; `decoding_pool` starts it.

It reads photographs from its standard input, each after its length, and writes a line of JSON for
each. It holds no secret and no connection, and ends with its standard input. What a photograph may
cost is limited by the system: one that takes too much time, or breaks the decoder, ends the
process.
"""

import json
import resource
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.rejection import rejected
from dermtriage.imaging.validation import inspect

LENGTH = struct.Struct(">Q")
"""The length of a photograph in bytes, before it on the standard input."""

CPU_SECONDS = 10
"""The CPU time that one photograph may take; the slowest photograph within the limits takes 2 s."""

MEMORY_BYTES = 1024 * 1024 * 1024
"""The address space of the process; the most that a picture within the limits takes is 732 MB."""


def main() -> None:
    """Answer photographs until the standard input ends."""
    # Ctrl-C in a terminal reaches every process; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # Linux: if memory runs out, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    while data := _next(sys.stdin.buffer):
        _limit_cpu()
        print(json.dumps(answer(data)), flush=True)  # noqa: T201


def answer(data: bytes) -> dict[str, object]:
    """Return the facts of a photograph, or why it is rejected."""
    try:
        facts = inspect(data)
    except ImageRejected as error:
        reason = error
    except MemoryError:
        reason = rejected("corrupt_image")
    else:
        return {"media_type": facts.media_type, "width": facts.width, "height": facts.height}
    return {"code": reason.code, "detail": reason.detail, "remedy": reason.remedy}


def _next(source: BinaryIO) -> bytes:
    header = source.read(LENGTH.size)
    return source.read(LENGTH.unpack(header)[0]) if len(header) == LENGTH.size else b""


def _limit_cpu() -> None:
    """Let the system end the process once the next photograph has taken its CPU time."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(spent.ru_utime + spent.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
