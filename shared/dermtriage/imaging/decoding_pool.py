"""Inspection of photographs in processes of their own, so that none can harm this one.

Decoders are large programs in C that read what strangers send. Their processes hold no secret and
no connection, and have limits of time and memory (`decoding_child`).
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from dermtriage.core.errors import ImageRejected, Unavailable
from dermtriage.imaging.decoding_child import LENGTH
from dermtriage.imaging.rejection import rejected
from dermtriage.imaging.validation import ImageFacts

_ENDED_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP}


class _ChildEnded(Exception):
    """The process ended before it answered; its status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class DecodingPool:
    """Processes that inspect photographs, one at a time each; they start when they are needed.

    Parameters
    ----------
    size
        The most processes at a time. More callers wait.
    """

    def __init__(self, size: int) -> None:
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []

    def inspect(self, data: bytes) -> ImageFacts:
        """Check that the bytes are an acceptable photograph; see `validation.inspect`.

        Raises
        ------
        ImageRejected
            As `validation.inspect` does. A photograph that exceeds the limits of its process, or
            breaks it, is ``corrupt_image``.
        Unavailable
            If no process can be started, or others end them.
        """
        if not data:
            raise rejected("empty_image")
        try:
            with self._slots:
                try:
                    return self._ask(data)
                except _ChildEnded as ended:
                    if ended.status not in _ENDED_FROM_OUTSIDE:
                        raise
                    # Whoever ended it, it need not have been for this photograph.
                    return self._ask(data)
        except _ChildEnded as ended:
            if ended.status >= 0:
                raise _unavailable() from ended
            raise rejected("corrupt_image") from ended
        except OSError as error:
            raise _unavailable() from error

    def close(self) -> None:
        """End the processes that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def _ask(self, data: bytes) -> ImageFacts:
        with self._child() as child:
            return child.inspect(data)

    @contextmanager
    def _child(self) -> Iterator["_Child"]:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        child = child or _Child()
        try:
            yield child
        except ImageRejected:
            self._give_back(child)
            raise
        except BaseException:
            child.end()
            raise
        self._give_back(child)

    def _give_back(self, child: "_Child") -> None:
        with self._lock:
            self._idle.append(child)


class _Child:
    """One process of a pool."""

    def __init__(self) -> None:
        # Nothing of this process's environment, which holds secrets. numpy's threads would take
        # most of the address space.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "dermtriage.imaging.decoding_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"OPENBLAS_NUM_THREADS": "1"},
            cwd="/",
        )
        self._input = cast(IO[bytes], self._process.stdin)
        self._output = cast(IO[bytes], self._process.stdout)

    def inspect(self, data: bytes) -> ImageFacts:
        with suppress(BrokenPipeError):
            self._input.write(LENGTH.pack(len(data)))
            self._input.write(data)
            self._input.flush()
        line = self._output.readline()
        if not line.endswith(b"\n"):
            raise _ChildEnded(self._process.wait())
        answer = json.loads(line)
        if "code" in answer:
            raise ImageRejected(answer["detail"], code=answer["code"], remedy=answer["remedy"])
        return ImageFacts(answer["media_type"], answer["width"], answer["height"])

    def end(self) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate()


def _unavailable() -> Unavailable:
    return Unavailable("Photographs cannot be decoded at the moment.", code="decoder_unavailable")


MAX_PROCESSES = 4
"""More are not needed: each inspects about a hundred photographs of 12 megapixels per second."""

_POOL = DecodingPool(min(MAX_PROCESSES, os.cpu_count() or 1))
atexit.register(_POOL.close)


def inspect_in_child(data: bytes) -> ImageFacts:
    """Inspect a photograph in a process of this process's pool; see `DecodingPool.inspect`."""
    return _POOL.inspect(data)
