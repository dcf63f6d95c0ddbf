"""A line of the log is JSON and holds no patient data."""

import json
import logging
from typing import Any
from uuid import UUID

import pytest

from dermtriage.core.errors import Unavailable
from dermtriage.core.logging_setup import JsonFormatter


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (record,) = caplog.records
    entry: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return entry


def test_extra_fields_are_logged_with_the_event(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("dermtriage.test").warning(
        "image %s", "failed", extra={"image_id": UUID(int=7), "attempts": 2}
    )
    entry = line(caplog)
    assert entry.pop("at").endswith("+00:00")
    entry.pop("message", None)  # another handler's formatter left it there
    assert entry == {
        "level": "warning",
        "logger": "dermtriage.test",
        "event": "image failed",
        "image_id": str(UUID(int=7)),
        "attempts": 2,
    }


def test_an_exception_is_logged_by_type_and_traceback_without_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A database quotes the row that it refused in its message, and a row holds patient data."""
    try:
        try:
            raise ValueError("Failing row contains (Maria Muster)")
        except ValueError as error:
            raise Unavailable("The database cannot be reached.") from error
    except Unavailable:
        logging.getLogger("dermtriage.test").exception("outage")
    entry = line(caplog)
    assert "Maria" not in json.dumps(entry)
    assert entry["exception"][0].startswith("Unavailable: The database cannot be reached.")
    assert "ValueError" in entry["exception"]
    assert any(f"{__file__}:" in frame for frame in entry["exception"])
