"""TERM and a closed terminal end a command in the same order as Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the first signal; ignore those after it.

    What is started is being stopped then, which takes seconds at most; a second Ctrl-C must not
    leave half of it behind.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _ENDING:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
