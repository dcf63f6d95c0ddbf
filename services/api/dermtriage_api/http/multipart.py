"""Reads the multipart body of an upload: one part `metadata`, then parts `images`, in memory.

Starlette's form parser (`request.form()`) is not used: it writes files above 1 MB to temporary
files on disk, limits the size of text fields but not of files, and accepts a body that ends before
its closing boundary. File names and part types are not read: clients choose them freely.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

from python_multipart.multipart import parse_options_header

from dermtriage.intake.referral import MAX_IMAGES
from dermtriage_api.http.multipart_parser import MultipartError, MultipartParser
from dermtriage_api.http.problems import HTTPProblem, invalid_field

MAX_METADATA_BYTES = 64 * 1024
MAX_BOUNDARY_BYTES = 70
"""RFC 2046, section 5.1.1."""


async def read_parts(
    content_type: str | None, stream: AsyncIterator[bytes], *, max_image_bytes: int
) -> tuple[bytes, list[bytes]]:
    """Return the part `metadata`, and the parts `images` in the order in which they were sent.

    Raises
    ------
    HTTPProblem
        If the body is not multipart or breaks off, or a part is missing, unexpected or too large.
    """
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise HTTPProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "not_multipart",
            "The body is not multipart/form-data.",
            remedy="Send a part `metadata` with JSON and a part `images` for each photograph.",
            accepted=["multipart/form-data"],
        )
    boundary = options.get(b"boundary")
    if not boundary or len(boundary) > MAX_BOUNDARY_BYTES:
        raise _malformed()
    parts = _Parts(max_image_bytes)
    try:
        parser = MultipartParser(boundary, parts)
        async for chunk in stream:
            parser.feed(chunk)
    except MultipartError as error:
        raise _malformed() from error
    if not parser.complete:
        raise _malformed()
    return parts.result()


def _malformed() -> HTTPProblem:
    return HTTPProblem(
        HTTPStatus.BAD_REQUEST,
        "malformed_multipart",
        "The multipart body is malformed or ends early.",
        remedy="Send the same request again; build the body with an HTTP library.",
    )


@dataclass
class _Parts:
    """Collects the parts, and refuses one that is unexpected or too large."""

    max_image_bytes: int
    metadata: bytes | None = None
    files: list[bytes] = field(default_factory=list)
    # The part that is being read.
    _name: bytes = b""
    _limit: int = 0
    _size: int = 0
    _chunks: list[bytes] = field(default_factory=list)

    def begin_part(self, name: bytes) -> None:
        self._name, self._chunks, self._size = name, [], 0
        if self._name == b"metadata" and self.metadata is None:
            self._limit = MAX_METADATA_BYTES
        elif self._name == b"images":
            self._limit = self.max_image_bytes
            if len(self.files) == MAX_IMAGES:
                raise invalid_field(
                    "too_many_images",
                    "images",
                    f"A case has at most {MAX_IMAGES} images.",
                    remedy="Send only the best photographs of the lesion.",
                )
        else:
            raise invalid_field(
                "unexpected_part",
                "body",
                "The body has a part that is neither `images` nor the only `metadata`.",
                remedy="Send one part `metadata` and a part `images` for each photograph.",
            )

    def add_data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            image = self._name == b"images"
            raise invalid_field(
                "file_too_large",
                f"images[{len(self.files)}]" if image else "metadata",
                f"The part is larger than {self._limit} bytes.",
                remedy="Send a smaller photograph; JPEG is smaller than PNG."
                if image
                else "Shorten `history`.",
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        self._chunks.append(data)

    def end_part(self) -> None:
        content = b"".join(self._chunks)
        if self._name == b"metadata":
            self.metadata = content
        else:
            self.files.append(content)

    def result(self) -> tuple[bytes, list[bytes]]:
        """Return metadata and files of a body that was read to its end."""
        if self.metadata is None:
            raise invalid_field(
                "metadata_missing",
                "metadata",
                "The part `metadata` is missing.",
                remedy="Send it as JSON; it describes each image.",
            )
        if not self.files:
            raise invalid_field(
                "images_missing",
                "images",
                "The request has no photograph.",
                remedy="Send a part `images` for each photograph.",
            )
        return self.metadata, self.files
