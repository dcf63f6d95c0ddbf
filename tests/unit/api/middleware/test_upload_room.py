"""The memory for bodies of uploads: shared by clinics and addresses, counted by what arrived."""

from contextlib import suppress

import pytest

from dermtriage_api.http.problems import HTTPProblem
from dermtriage_api.middleware.upload_room import (
    ADDRESS_SHARE,
    CLINIC_SHARE,
    FULL_UPLOADS_AT_ONCE,
    UploadRoom,
)

FULL = 1000


@pytest.fixture
def room() -> UploadRoom:
    return UploadRoom(FULL)


def fill(room: UploadRoom, clinic: int, address: str = "a") -> bool:
    """Receive an upload of the largest size; False if there is no room for it."""
    with suppress(HTTPProblem):
        room.enter(clinic, address, FULL).add(FULL)
        return True
    return False


def test_a_declared_length_takes_no_room(room: UploadRoom) -> None:
    for _ in range(100):
        room.enter(1, "a", FULL).add(1)
    assert fill(room, 2)


def test_a_clinic_has_a_share(room: UploadRoom) -> None:
    assert [fill(room, 1) for _ in range(CLINIC_SHARE + 1)] == [True] * CLINIC_SHARE + [False]
    assert fill(room, 2)


def test_an_address_has_a_share(room: UploadRoom) -> None:
    assert all(fill(room, clinic) for clinic in range(ADDRESS_SHARE))
    assert not fill(room, ADDRESS_SHARE)
    assert fill(room, ADDRESS_SHARE, "b")


def test_all_together_have_a_limit(room: UploadRoom) -> None:
    assert all(fill(room, n, str(n)) for n in range(FULL_UPLOADS_AT_ONCE))
    assert not fill(room, FULL_UPLOADS_AT_ONCE, "z")


def test_room_is_given_back_once(room: UploadRoom) -> None:
    held = [room.enter(1, "a", 0) for _ in range(CLINIC_SHARE)]
    for one in held:
        one.add(FULL)
    assert not fill(room, 1)
    held[0].release()
    held[0].release()
    assert [fill(room, 1), fill(room, 1)] == [True, False]


def test_a_body_of_unknown_length_is_refused_where_the_room_ends(room: UploadRoom) -> None:
    held = room.enter(1, "a", 0)
    held.add(CLINIC_SHARE * FULL)
    with pytest.raises(HTTPProblem) as caught:
        held.add(1)
    assert (caught.value.status_code, caught.value.code) == (503, "busy")
