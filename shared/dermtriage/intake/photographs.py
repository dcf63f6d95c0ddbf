"""The photographs of a referral: checked, described by rows, and stored, without the database."""

from collections.abc import Sequence
from contextlib import suppress

from dermtriage.core.enums import ImageType, Scoring
from dermtriage.core.errors import ImageRejected, RequestRejected, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.imaging.decoding_pool import inspect_in_child
from dermtriage.intake.referral import ImageMetadata
from dermtriage.models import Image
from dermtriage.storage.image_store import ImageStore


def new_images(
    described: Sequence[ImageMetadata], files: Sequence[bytes], digests: Sequence[bytes]
) -> list[Image]:
    """Check the files of a referral and return the rows of its images.

    Raises
    ------
    RequestRejected
        If not every file is described, or not every description has a file.
    ImageRejected
        If a file is not an acceptable photograph; its ``field`` names the file.
    Unavailable
        If photographs cannot be decoded at the moment.
    """
    if len(files) != len(described):
        raise RequestRejected(
            f"{len(described)} images are described, {len(files)} were sent.",
            field="images",
            remedy="Describe each file once in metadata.images, in the order of the files.",
            code="image_count_mismatch",
        )
    images = []
    for position, (metadata, data, digest) in enumerate(
        zip(described, files, digests, strict=True)
    ):
        try:
            images.append(_new_image(position, metadata, data, digest))
        except ImageRejected as error:
            error.field = f"images[{position}]"
            raise
    return images


def _new_image(position: int, metadata: ImageMetadata, data: bytes, digest: bytes) -> Image:
    if data and digest.hex() != metadata.sha256:
        raise ImageRejected(
            "The file that arrived does not have the SHA-256 in its metadata.",
            remedy="Send the photograph again; the file changed on its way.",
            code="checksum_mismatch",
        )
    facts = inspect_in_child(data)
    is_overview = metadata.image_type is ImageType.OVERVIEW
    return Image(
        id=new_id(),
        position=position,
        image_type=metadata.image_type,
        media_type=facts.media_type,
        sha256=digest,
        byte_size=len(data),
        width=facts.width,
        height=facts.height,
        scoring=Scoring.NOT_SCORED if is_overview else Scoring.PENDING,
    )


def store_originals(store: ImageStore, images: list[Image], files: Sequence[bytes]) -> list[Image]:
    """Store the file of each image and return the images; if one cannot be stored, none is left.

    Raises
    ------
    Unavailable
        If the store cannot be reached.
    """
    try:
        for image, data in zip(images, files, strict=True):
            store.put_original(image.id, data)
    except BaseException:
        remove_originals(store, images)
        raise
    return images


def remove_originals(store: ImageStore, images: Sequence[Image]) -> None:
    """Remove the files of images whose rows were not committed."""
    # If the store cannot be reached either, the nightly orphan sweep removes them.
    with suppress(Unavailable):
        for image in images:
            store.delete_original(image.id)
