"""A photograph as people may see it: never the original, always a rendition."""

import os
import threading
from uuid import UUID

from dermtriage import imaging
from dermtriage.errors import ImageRejected, NotFound
from dermtriage.storage import ImageStore

DECODERS = threading.BoundedSemaphore(os.cpu_count() or 1)
"""Decoding a hostile file takes hundreds of megabytes: so many may be open at once a process."""


def rendition_of(store: ImageStore, image_id: UUID) -> bytes:
    """Return the rendition of a photograph; make it if no worker has.

    A clinician has to be able to look at what is not scored, be it an overview, an image whose
    scoring failed, or one that no worker has come to.

    Raises
    ------
    NotFound
        If the photograph cannot be decoded.
    Unavailable
        If the store is out of reach.
    """
    try:
        return store.get_rendition(image_id)
    except NotFound:
        original = store.get_original(image_id)
    try:
        with DECODERS:
            rendition = imaging.make_rendition(original)
    except ImageRejected as error:
        raise NotFound(
            f"This photograph cannot be shown. {error.detail}",
            remedy="Ask the clinic for a new one.",
            code="rendition_impossible",
        ) from error
    store.put_rendition(image_id, rendition)
    return rendition
