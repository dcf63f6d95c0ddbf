"""Logging as JSON, one line per event, with identifiers and counts, never patient data."""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dermtriage.core.errors import DermtriageError

_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; each key of ``extra`` becomes a field of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = list(trace(record.exc_info[1]))
        return json.dumps(entry, default=str)


def trace(error: BaseException | None) -> Iterator[str]:
    """Yield the types of an error and its causes, and the source lines of their tracebacks.

    Only our own errors are logged with their messages: a database quotes the row that it refused
    in its message, and a row holds patient data.
    """
    while error is not None:
        ours = isinstance(error, DermtriageError)
        yield f"{type(error).__qualname__}: {error}" if ours else type(error).__qualname__
        for frame in traceback.extract_tb(error.__traceback__):
            yield f"{frame.filename}:{frame.lineno} in {frame.name}"
        error = error.__cause__ or error.__context__


def setup_logging(level: str) -> None:
    """Log everything from `level` upwards to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # uvicorn installs handlers of its own before our code runs.
    for server in ("uvicorn", "uvicorn.error"):
        logging.getLogger(server).handlers.clear()
        logging.getLogger(server).propagate = True
    # Both log a line per request with its URL: an access log, which is not kept here.
    for noisy in ("httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
