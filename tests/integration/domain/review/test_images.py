"""Images and heat maps, as clinicians view them."""

from uuid import UUID

import pytest
from sqlalchemy.orm import Session
from tests import factories

from dermtriage.core.errors import NotFound
from dermtriage.core.ids import new_id
from dermtriage.review.images import newest_heat_map, read_image
from dermtriage.storage.image_store import ImageStore

MAP = b"\xff\xd8a heat map\xff\xd9"


def test_an_image_of_any_clinic_is_read(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    image_id = receipt.images[0].image_id
    assert read_image(session, image_id=image_id).case_id == receipt.case_id
    with pytest.raises(NotFound):
        read_image(session, image_id=new_id())


def test_the_newest_release_with_a_heat_map_is_found(store: ImageStore) -> None:
    image_id = new_id()
    store.put_original(image_id, b"a photograph")
    with pytest.raises(NotFound) as caught:
        newest_heat_map(store, image_id, ["newer", "older"])
    assert caught.value.code == "heatmap_missing"
    store.put_heat_map(image_id, "older", MAP)
    assert newest_heat_map(store, image_id, ["newer", "older"]) == ("older", MAP)
    store.put_heat_map(image_id, "newer", MAP)
    assert newest_heat_map(store, image_id, ["newer", "older"]) == ("newer", MAP)
