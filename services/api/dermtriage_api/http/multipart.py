"""Reads the multipart body of an upload: one part `metadata`, then parts `images`, in memory.

Starlette's form parser (`request.form()`) is not used: it writes files above 1 MB to temporary
files on disk, limits the size of text fields but not of files, and accepts a body that ends before
its closing boundary. File names and part types are not read: clients choose them freely.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dermtriage.intake.referral import MAX_IMAGES
from dermtriage_api.http.problems import HTTPProblem, invalid_field

MAX_METADATA_BYTES = 64 * 1024
MAX_PART_HEADER_BYTES = 4096


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
    if not boundary:
        raise _malformed()
    parts = _Parts(max_image_bytes)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin_part,
                "on_header_field": parts.add_header_name,
                "on_header_value": parts.add_header_value,
                "on_header_end": parts.end_header,
                "on_headers_finished": parts.check_name,
                "on_part_data": parts.add_data,
                "on_part_end": parts.end_part,
                "on_end": parts.end_body,
            },
        )
        async for chunk in stream:
            parser.write(chunk)
    except FormParserError as error:
        raise _malformed() from error
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
    """Collects the parts through the parser's callbacks."""

    max_image_bytes: int
    metadata: bytes | None = None
    files: list[bytes] = field(default_factory=list)
    complete: bool = False
    """Whether the closing boundary has arrived."""
    # The part and the header that are being read.
    _header_name: bytes = b""
    _header_value: bytes = b""
    _disposition: bytes = b""
    _name: bytes = b""
    _limit: int = 0
    _size: int = 0
    _chunks: list[bytes] = field(default_factory=list)

    def begin_part(self) -> None:
        self._disposition, self._header_name, self._header_value = b"", b"", b""
        self._chunks, self._size = [], 0

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._check_header_size()

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._check_header_size()

    def end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def check_name(self) -> None:
        self._name = parse_options_header(self._disposition)[1].get(b"name", b"")
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

    def add_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
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
        self._chunks.append(data[start:end])

    def end_part(self) -> None:
        content = b"".join(self._chunks)
        if self._name == b"metadata":
            self.metadata = content
        else:
            self.files.append(content)

    def end_body(self) -> None:
        self.complete = True

    def result(self) -> tuple[bytes, list[bytes]]:
        """Return metadata and files of a body that was read to its end."""
        if not self.complete:
            raise _malformed()
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

    def _check_header_size(self) -> None:
        if len(self._header_name) + len(self._header_value) > MAX_PART_HEADER_BYTES:
            raise _malformed()
