"""The local store: objects are stored durably, and a missing object differs from an outage."""

import errno
import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from dermtriage.core.errors import NotFound, ObjectInaccessible, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.storage.identity import MARKER
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.keys import StoredOriginal

ORIGINAL = b"original"
DIGEST = hashlib.sha256(ORIGINAL).digest()


@pytest.fixture
def folder(settings: Settings) -> Path:
    return Path(settings.store_url.removeprefix("file://"))


def files(folder: Path) -> set[str]:
    """Return the keys of all objects but the marker."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return found - {MARKER}


def test_a_stored_object_can_be_read(store: ImageStore, folder: Path) -> None:
    image_id = UUID("01a20732-524f-7077-8f12-9c87b77180a6")
    store.put_original(image_id, ORIGINAL)
    store.put_rendition(image_id, b"first\xff\xd9")
    store.put_rendition(image_id, b"second\xff\xd9")
    assert store.get_original(image_id, DIGEST) == ORIGINAL
    assert store.get_rendition(image_id) == b"second\xff\xd9"
    assert files(folder) == {f"originals/a6/{image_id}", f"renditions/a6/{image_id}"}
    store.delete_original(image_id)
    assert store.get_rendition(image_id) == b"second\xff\xd9"


@pytest.mark.parametrize("left", [b"", b"\xff\xd8half", b"\xff\xd8all\x00\x00"])
def test_an_incomplete_picture_is_not_found(store: ImageStore, folder: Path, left: bytes) -> None:
    """Renditions and heat maps are not synced: a power failure may keep a name and lose bytes."""
    image_id = new_id()
    store.put_rendition(image_id, b"\xff\xd8all\xff\xd9")
    store.put_heat_map(image_id, "first", b"\xff\xd8all\xff\xd9")
    for name in files(folder):
        (folder / name).write_bytes(left)
    for read in (store.get_rendition, lambda each: store.get_heat_map(each, "first")):
        with pytest.raises(NotFound) as missing:
            read(image_id)
        assert missing.value.code == "object_incomplete"


def test_a_photograph_that_does_not_fit_leaves_nothing(
    store: ImageStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    image_id = new_id()
    store.put_rendition(image_id, b"as it was")
    before = files(folder)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable):
        store.put_original(image_id, b"x")
    assert files(folder) == before


def test_a_temporary_file_is_not_listed(store: ImageStore, folder: Path) -> None:
    image_id = new_id()
    store.put_original(image_id, b"x")
    (path,) = (folder / name for name in files(folder))
    os.link(path, path.with_name(f"{path.name}#12"))
    assert [one.image_id for page in store.originals() for one in page] == [image_id]


def test_originals_are_synced_to_the_disk(
    store: ImageStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the content, then the folder with the name, then the parent of a new folder."""
    synced: list[tuple[str, bool]] = []
    sync = os.fsync

    def spy(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((str(path.relative_to(folder)).partition("#")[0], path.is_dir()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    first, second = UUID(int=0x1A6), UUID(int=0x2A6)
    for image_id in (first, second):
        store.put_original(image_id, b"x")
        store.put_rendition(image_id, b"x")
    assert synced == [
        (f"originals/a6/{first}", False),
        ("originals/a6", True),
        ("originals", True),
        (f"originals/a6/{second}", False),
        ("originals/a6", True),
    ]


def test_a_missing_object_is_not_found(store: ImageStore) -> None:
    store.put_original(new_id(), b"another")
    for read in (
        lambda: store.get_original(new_id(), DIGEST),
        lambda: store.get_rendition(new_id()),
    ):
        with pytest.raises(NotFound) as missing:
            read()
        assert missing.value.code == "object_missing"
    store.delete_original(new_id())


def test_an_empty_store_is_an_outage(store: ImageStore, folder: Path) -> None:
    """If its objects counted as missing, an unmounted disk would cost every image its attempts."""
    image_id = new_id()
    store.put_original(image_id, ORIGINAL)
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(Unavailable) as gone:
        store.get_original(image_id, DIGEST)
    assert gone.value.code == "store_unavailable"
    folder.mkdir()  # an empty mount point
    with pytest.raises(Unavailable):
        store.get_original(image_id, DIGEST)
    folder.rmdir()
    away.rename(folder)
    assert store.get_original(image_id, DIGEST) == ORIGINAL


def test_a_store_that_cannot_be_written_is_an_outage(store: ImageStore, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")
    for act in (
        store.check,
        lambda: store.put_original(new_id(), b"x"),
        lambda: store.put_rendition(new_id(), b"x"),
        lambda: store.get_original(new_id(), DIGEST),
    ):
        with pytest.raises(Unavailable):
            act()


def test_a_check_leaves_no_object(store: ImageStore, folder: Path) -> None:
    store.check()
    assert files(folder) == set()


def test_originals_are_listed_with_their_times(store: ImageStore, folder: Path) -> None:
    original, rendered = new_id(), new_id()
    store.put_original(original, b"x")
    store.put_rendition(rendered, b"x")
    (folder / "originals" / "README.txt").write_text("not ours")
    os.utime(folder / "originals" / original.hex[-2:] / str(original), (0, 0))
    listed = [one for page in store.originals() for one in page]
    assert listed == [StoredOriginal(original, datetime(1970, 1, 1, tzinfo=UTC))]


@pytest.mark.parametrize("content", [b"Original", b"original of another photograph", b""])
def test_an_original_that_has_changed_is_not_returned(
    store: ImageStore, folder: Path, content: bytes
) -> None:
    image_id = new_id()
    store.put_original(image_id, content)
    with pytest.raises(NotFound) as changed:
        store.get_original(image_id, DIGEST)
    assert changed.value.code == "original_changed"


def test_one_object_that_cannot_be_read_is_no_outage(store: ImageStore, folder: Path) -> None:
    image_id = new_id()
    # A folder cannot be read by anybody, not even by root, for whom no permission counts.
    (folder / "originals" / image_id.hex[-2:] / str(image_id)).mkdir(parents=True)
    with pytest.raises(ObjectInaccessible, match="Is a directory"):
        store.get_original(image_id, DIGEST)
    (folder / MARKER).unlink()
    (folder / MARKER).mkdir()
    with pytest.raises(Unavailable) as outage:
        store.get_original(image_id, DIGEST)
    assert outage.value.code == "store_unavailable"


def test_one_object_that_cannot_be_written_is_no_outage(store: ImageStore, folder: Path) -> None:
    image_id = new_id()
    path = folder / "renditions" / image_id.hex[-2:] / str(image_id)
    path.mkdir(parents=True)
    with pytest.raises(ObjectInaccessible):
        store.put_rendition(image_id, b"x")
    assert files(folder) == set()
    path.rmdir()
    store.put_rendition(image_id, b"x")
    assert files(folder) == {str(path.relative_to(folder))}
