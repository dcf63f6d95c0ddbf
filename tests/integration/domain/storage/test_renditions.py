"""People see renditions and never originals, also of images that are not scored."""

import io

import pytest
from PIL import Image
from tests.factories import photograph

from dermtriage.core.errors import NotFound, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.renditions import rendition_of


def test_the_rendition_of_a_worker_is_shown(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, photograph(1))
    store.put_rendition(image_id, b"as it was scored\xff\xd9")
    assert rendition_of(store, image_id) == b"as it was scored\xff\xd9"


def test_a_missing_rendition_is_made_and_stored(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, photograph(1))
    rendition = rendition_of(store, image_id)
    assert rendition != photograph(1)
    assert Image.open(io.BytesIO(rendition)).size == (160, 120)
    assert store.get_rendition(image_id) == rendition


def test_an_incomplete_rendition_is_made_again(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, photograph(1))
    whole = rendition_of(store, image_id)
    store.put_rendition(image_id, whole[:-500])
    assert rendition_of(store, image_id) == whole
    assert store.get_rendition(image_id) == whole


def test_an_original_that_cannot_be_decoded_is_not_shown(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, b"GIF89a: no photograph")
    with pytest.raises(NotFound) as missing:
        rendition_of(store, image_id)
    assert missing.value.code == "rendition_impossible"
    with pytest.raises(NotFound):
        store.get_rendition(image_id)


def test_a_missing_original_differs_from_a_missing_store(store: ImageStore) -> None:
    with pytest.raises(Unavailable):
        rendition_of(store, new_id())
    store.put_original(new_id(), b"another")
    with pytest.raises(NotFound):
        rendition_of(store, new_id())
