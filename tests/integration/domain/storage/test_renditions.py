"""People see renditions and never originals, also of images that are not scored."""

import hashlib
import io
from collections.abc import Callable

import pytest
from PIL import Image
from tests.factories import photograph
from tests.uploads import store_folder

from dermtriage.core.errors import NotFound, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.storage.identity import MARKER
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.renditions import rendition_of


def digest(data: bytes) -> Callable[[], bytes]:
    """Return what the row of a photograph knows of it."""
    return lambda: hashlib.sha256(data).digest()


def test_the_rendition_of_a_worker_is_shown(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, photograph(1))
    store.put_rendition(image_id, b"as it was scored\xff\xd9")
    assert rendition_of(store, image_id, digest(photograph(1))) == b"as it was scored\xff\xd9"


def test_a_missing_rendition_is_made_and_stored(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, photograph(1))
    rendition = rendition_of(store, image_id, digest(photograph(1)))
    assert rendition != photograph(1)
    assert Image.open(io.BytesIO(rendition)).size == (160, 120)
    assert store.get_rendition(image_id) == rendition


def test_an_incomplete_rendition_is_made_again(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, photograph(1))
    whole = rendition_of(store, image_id, digest(photograph(1)))
    store.put_rendition(image_id, whole[:-500])
    assert rendition_of(store, image_id, digest(photograph(1))) == whole
    assert store.get_rendition(image_id) == whole


def test_an_original_that_cannot_be_decoded_is_not_shown(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, b"GIF89a: no photograph")
    with pytest.raises(NotFound) as missing:
        rendition_of(store, image_id, digest(b"GIF89a: no photograph"))
    assert missing.value.code == "rendition_impossible"
    with pytest.raises(NotFound):
        store.get_rendition(image_id)


def test_a_photograph_that_is_no_longer_the_one_that_arrived_is_not_shown(
    store: ImageStore,
) -> None:
    image_id = new_id()
    store.put_original(image_id, photograph(2))
    with pytest.raises(NotFound) as changed:
        rendition_of(store, image_id, digest(photograph(1)))
    assert changed.value.code == "original_changed"
    with pytest.raises(NotFound):
        store.get_rendition(image_id)


def test_a_missing_original_differs_from_a_missing_store(
    store: ImageStore, settings: Settings
) -> None:
    with pytest.raises(NotFound):
        rendition_of(store, new_id(), digest(b"missing"))
    (store_folder(settings) / MARKER).unlink()
    with pytest.raises(Unavailable):
        rendition_of(store, new_id(), digest(b"missing"))
