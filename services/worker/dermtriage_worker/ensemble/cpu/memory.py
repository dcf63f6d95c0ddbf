"""What a process keeps of the memory that its networks are done with."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of parameters in glibc's ``malloc.h``."""

_KEPT = 256 * 2**20
_LARGEST = 32 * 2**20
"""What is larger is still given back at once, such as a hostile photograph; glibc allows no more
than this."""
_SPARE = 64 * 2**20


def keep_freed_memory() -> None:
    """Have the allocator keep freed memory for the next batch, in all threads of the process.

    Between two passes some megabytes are freed and asked for again. By default they go back to the
    system, which clears every page anew: on two cores that took 1 to 8 % of the time of scoring.
    Nothing happens where the C library is not glibc.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, _KEPT)
        set_option(_MMAP_THRESHOLD, _LARGEST)
        set_option(_TOP_PAD, _SPARE)
