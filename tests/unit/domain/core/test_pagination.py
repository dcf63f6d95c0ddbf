"""Cursors are decoded to what was encoded, and anything else is refused."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core import pagination
from dermtriage.core.errors import RequestRejected

WORKLIST = (int, datetime, UUID)

offsets = st.builds(
    timezone,
    st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)),
)
moments = st.datetimes(
    datetime(1, 1, 3),
    datetime(9999, 12, 29),
    timezones=offsets,
)


def cursor_of(value: object) -> str:
    """Return anything JSON can hold encoded like a cursor."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(st.integers(0, 2**15 - 1), moments, st.uuids())
def test_a_cursor_is_decoded_to_what_was_encoded(lane: int, at: datetime, key: UUID) -> None:
    cursor = pagination.encode(lane, at, key)
    assert cursor == "".join(c for c in cursor if c.isalnum() or c in "-_")
    assert pagination.decode(cursor, *WORKLIST) == [lane, at, key]


@given(moments)
def test_times_are_decoded_in_utc(at: datetime) -> None:
    # PostgreSQL does not read every offset that Python writes, such as one with microseconds.
    (read,) = pagination.decode(pagination.encode(at), datetime)
    assert isinstance(read, datetime)
    assert read.tzinfo is UTC


def _read_or_refuse(cursor: str) -> None:
    """An untrusted cursor gives either values of the types or RequestRejected."""
    with suppress(RequestRejected):
        lane, at, key = pagination.decode(cursor, *WORKLIST)
        assert isinstance(lane, int)
        assert isinstance(at, datetime)
        assert isinstance(key, UUID)
        assert at.tzinfo is UTC


@given(st.text())
def test_any_text_is_read_or_refused(cursor: str) -> None:
    _read_or_refuse(cursor)


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    _read_or_refuse(base64.urlsafe_b64encode(content).decode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    _read_or_refuse(cursor_of(value))


@given(
    st.integers(),
    st.text() | st.datetimes().map(str) | st.datetimes(timezones=offsets).map(str),
    st.text() | st.uuids().map(str),
)
def test_any_parts_are_read_or_refused(lane: int, at: str, key: str) -> None:
    _read_or_refuse(cursor_of([lane, at, key]))


MOMENT, KEY = "2026-03-02T09:00:00+00:00", str(UUID(int=7))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "=",
        "no cursor",
        "bä",
        cursor_of([0, MOMENT]),
        cursor_of([0, MOMENT, KEY, KEY]),
        cursor_of(["0", MOMENT, KEY]),
        cursor_of([True, MOMENT, KEY]),
        cursor_of([-1, MOMENT, KEY]),
        cursor_of([2**15, MOMENT, KEY]),
        cursor_of([0, "2026-03-02T09:00:00", KEY]),
        cursor_of([0, 5, KEY]),
        cursor_of([0, MOMENT, "7"]),
        cursor_of([0, MOMENT, None]),
        cursor_of({"lane": 0}),
        cursor_of(None),
        cursor_of([0, "0001-01-01T00:00:00+23:59", KEY]),
        cursor_of([0, "9999-12-31T23:59:59-23:59", KEY]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b"[" + b"9" * 10_000 + b"]").decode(),
        base64.urlsafe_b64encode(b"\xff\xfe\x00").decode(),
    ],
)
def test_a_string_that_is_not_a_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        pagination.decode(cursor, *WORKLIST)
    assert (refused.value.code, refused.value.field) == ("invalid_cursor", "cursor")
    assert refused.value.remedy
