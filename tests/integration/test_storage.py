"""The local store: what is put is there, what is not is told apart from an outage."""

import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from dermtriage.db import new_id, utcnow
from dermtriage.errors import NotFound, Unavailable
from dermtriage.settings import Settings
from dermtriage.storage import ImageStore


@pytest.fixture
def folder(settings: Settings) -> Path:
    return Path(settings.store_url.removeprefix("file://"))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_put_is_there(store: ImageStore, folder: Path) -> None:
    image_id = UUID("01a20732-524f-7077-8f12-9c87b77180a6")
    store.put_original(image_id, b"original")
    store.put_rendition(image_id, b"first")
    store.put_rendition(image_id, b"second")
    assert store.get_original(image_id) == b"original"
    assert store.get_rendition(image_id) == b"second"
    assert files(folder) == {f"originals/a6/{image_id}", f"renditions/a6/{image_id}"}
    store.delete_original(image_id)
    assert store.get_rendition(image_id) == b"second"


def test_what_is_not_there_is_not_found(store: ImageStore) -> None:
    store.put_original(new_id(), b"another")
    for read in (store.get_original, store.get_rendition):
        with pytest.raises(NotFound) as missing:
            read(new_id())
        assert missing.value.code == "object_missing"
    store.delete_original(new_id())


def test_a_store_that_lost_everything_is_out_of_reach(store: ImageStore, folder: Path) -> None:
    """Were it a missing object, a disk that is not mounted would cost every image its attempts."""
    image_id = new_id()
    store.put_original(image_id, b"original")
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(Unavailable) as gone:
        store.get_original(image_id)
    assert gone.value.code == "store_unavailable"
    folder.mkdir()  # an empty mount point
    with pytest.raises(Unavailable):
        store.get_original(image_id)
    folder.rmdir()
    away.rename(folder)
    assert store.get_original(image_id) == b"original"


def test_a_store_that_cannot_be_written_is_out_of_reach(store: ImageStore, folder: Path) -> None:
    folder.rmdir()
    folder.write_text("no folder")
    for act in (
        store.check,
        lambda: store.put_original(new_id(), b"x"),
        lambda: store.put_rendition(new_id(), b"x"),
        lambda: store.get_original(new_id()),
    ):
        with pytest.raises(Unavailable):
            act()


def test_a_check_leaves_nothing(store: ImageStore, folder: Path) -> None:
    store.check()
    assert files(folder) == set()


def test_old_originals_are_listed(store: ImageStore, folder: Path) -> None:
    old, young, rendered = new_id(), new_id(), new_id()
    store.put_original(old, b"x")
    store.put_original(young, b"x")
    store.put_rendition(rendered, b"x")
    foreign = folder / "originals" / "README.txt"
    foreign.write_text("put there by somebody")
    for path in (folder / "originals" / old.hex[-2:] / str(old), foreign):
        os.utime(path, (0, 0))
    hour_ago = utcnow() - timedelta(hours=1)
    assert [image_id for page in store.originals_before(hour_ago) for image_id in page] == [old]
