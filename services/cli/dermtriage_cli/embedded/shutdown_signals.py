"""TERM and a closed terminal end a command in the same order as Ctrl-C."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def orderly_shutdown() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the first stop signal; ignore later ones.

    The first signal stops everything in order, which takes seconds; a second Ctrl-C must not
    leave processes behind.
    """
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _STOP_SIGNALS:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_shutdown(check: Callable[[], None]) -> None:
    """Wait until the first stop signal; needs `orderly_shutdown` around it.

    Parameters
    ----------
    check
        Called twice a second meanwhile. An error that it raises ends the wait.
    """
    with suppress(KeyboardInterrupt):
        while True:
            check()
            time.sleep(0.5)
