"""Renditions for display; originals are never shown."""

from collections.abc import Callable
from uuid import UUID

from dermtriage.core.errors import ImageRejected, NotFound
from dermtriage.imaging.rendition import make_rendition
from dermtriage.storage.image_store import ImageStore


def rendition_of(store: ImageStore, image_id: UUID, sha256: Callable[[], bytes]) -> bytes:
    """Return the rendition of a photograph; make and store it if no worker has yet.

    Clinicians also look at images that are not scored: overviews, images whose scoring failed, and
    images that are still pending.

    Parameters
    ----------
    sha256
        Returns the SHA-256 of the photograph that arrived; called if the rendition is made.

    Raises
    ------
    NotFound
        If the photograph cannot be decoded, or is no longer the one that arrived.
    Unavailable
        If the store cannot be reached.
    """
    try:
        return store.get_rendition(image_id)
    except NotFound:
        original = store.get_original(image_id, sha256())
    try:
        rendition = make_rendition(original)
    except ImageRejected as error:
        raise NotFound(
            f"This photograph cannot be shown. {error.detail}",
            remedy="Ask the clinic for a new one.",
            code="rendition_impossible",
        ) from error
    store.put_rendition(image_id, rendition)
    return rendition
