"""Photographs and heat maps, as clinicians see them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from dermtriage.core.errors import NotFound
from dermtriage.models import Image
from dermtriage.storage.image_store import ImageStore


def read_image(session: Session, *, image_id: UUID) -> Image:
    """Return an image of any clinic.

    Raises
    ------
    NotFound
        If there is none with this id.
    """
    image = session.get(Image, image_id)
    if image is None:
        raise NotFound("There is no such image.", remedy="Check its id.", code="image_not_found")
    return image


def newest_heat_map(
    store: ImageStore, image_id: UUID, releases: Sequence[str]
) -> tuple[str, bytes]:
    """Return the heat map of the first of these releases that has one, with the release's name.

    A rescore run draws no new map for an image that was severe before, so the newest map may
    belong to an earlier release.

    Raises
    ------
    NotFound
        If there is none.
    """
    for release in releases:
        try:
            return release, store.get_heat_map(image_id, release)
        except NotFound:
            continue
    raise NotFound(
        "This photograph has no heat map.",
        remedy="Severe photographs get one some time after their score, which is valid without it.",
        code="heatmap_missing",
    )
