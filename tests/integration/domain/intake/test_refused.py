"""A refused or failed request leaves nothing behind."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import photograph
from tests.integration.domain.intake.contents import row_counts, stored_files

from dermtriage.core.errors import (
    ImageRejected,
    RequestRejected,
    Unavailable,
)
from dermtriage.core.settings import Settings
from dermtriage.storage.image_store import ImageStore


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


Refusal = tuple[str, str, Callable[[], dict[str, Any]]]

REFUSALS: dict[str, Refusal] = {
    "too few files": (
        "image_count_mismatch",
        "images",
        lambda: {"described": factories.metadata([photograph(1), photograph(2)])},
    ),
    "no file": (
        "image_count_mismatch",
        "images",
        lambda: {"described": factories.metadata([photograph(1)]), "files": []},
    ),
    "other bytes": (
        "checksum_mismatch",
        "images[1]",
        lambda: {
            "described": factories.metadata([photograph(1), photograph(2)]),
            "files": [photograph(1), photograph(3)],
        },
    ),
    "files in another order": (
        "checksum_mismatch",
        "images[0]",
        lambda: {
            "described": factories.metadata([photograph(1), photograph(2)]),
            "files": [photograph(2), photograph(1)],
        },
    ),
    "empty": ("empty_image", "images[1]", lambda: _sent(photograph(1), b"")),
    "truncated": ("truncated_image", "images[0]", lambda: _sent(_cut(photograph(1)))),
    "no image": ("unsupported_media_type", "images[1]", lambda: _sent(photograph(1), b"%PDF-1.7")),
    "too small": (
        "image_too_small",
        "images[0]",
        lambda: _sent(factories.photographs.jpeg(0, (100, 63))),
    ),
    "replaces nothing": (
        "replaces_unknown_case",
        "metadata.replaces_case_id",
        lambda: {"described": factories.metadata([photograph(1)], replaces_case_id=uuid4())},
    ),
}


def _sent(*files: bytes) -> dict[str, Any]:
    return {"described": factories.metadata(files), "files": files}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_referral_leaves_nothing(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    name: str,
) -> None:
    code, field, request = REFUSALS[name]
    before = row_counts(sessions)
    with pytest.raises((RequestRejected, ImageRejected)) as refused:
        factories.submit(sessions, store, clinic_id, **request())
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.remedy
    assert row_counts(sessions) == before
    assert stored_files(settings) == {}
    # Its key is free for the corrected one.
    assert factories.submit(sessions, store, clinic_id).created


class Failing(ImageStore):
    """A store that becomes unavailable after a number of photographs."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], after: int) -> None:
        super().__init__(settings.store_url, 1, sessions)
        self._left = after

    def put_original(self, image_id: UUID, data: bytes) -> None:
        if self._left == 0:
            raise Unavailable("The image store cannot be reached.", code="store_unavailable")
        self._left -= 1
        super().put_original(image_id, data)


@pytest.mark.parametrize("after", [0, 2])
def test_a_store_that_fails_midway_leaves_nothing(
    sessions: sessionmaker[Session], settings: Settings, clinic_id: UUID, after: int
) -> None:
    before = row_counts(sessions)
    files = [photograph(seed) for seed in range(3)]
    with pytest.raises(Unavailable):
        factories.submit(sessions, Failing(settings, sessions, after), clinic_id, files=files)
    assert row_counts(sessions) == before
    assert stored_files(settings) == {}


def test_a_row_that_the_database_refuses_leaves_nothing(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings
) -> None:
    before = row_counts(sessions)
    with pytest.raises(IntegrityError):
        factories.submit(sessions, store, uuid4(), files=[photograph(1), photograph(2)])
    assert row_counts(sessions) == before
    assert stored_files(settings) == {}


def test_photographs_are_kept_when_the_answer_to_the_commit_is_lost(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    def lose_answer(_: Session) -> None:
        raise OperationalError("COMMIT", None, Exception("the connection was lost"))

    lost = sessionmaker(sessions.kw["bind"], expire_on_commit=False)
    event.listen(lost, "after_commit", lose_answer)
    with pytest.raises(Unavailable):
        factories.submit(lost, store, clinic_id)
    assert not factories.submit(sessions, store, clinic_id).created
    assert len(stored_files(settings)) == 1
