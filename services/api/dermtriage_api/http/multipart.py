"""A referral out of a multipart body.

Parts are gathered in memory, where the gate bounds them, and never in temporary files. What a
client calls its files is not even read.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dermtriage.intake.referral import MAX_IMAGES, CaseMetadata
from dermtriage_api.auth import ClinicDep
from dermtriage_api.http.problems import Refusal, invalid, refused_field
from dermtriage_api.services import ServicesDep

MAX_METADATA_BYTES = 64 * 1024
MAX_PART_HEADER_BYTES = 4096
MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Referral:
    """What one request to create a case brought."""

    idempotency_key: str
    metadata: CaseMetadata
    files: list[bytes]


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "").strip()
    if not key:
        raise refused_field(
            "idempotency_key_missing",
            "Idempotency-Key",
            "The header Idempotency-Key is missing.",
            remedy="Send a new random value, such as a UUID, with each new referral, and the same"
            " value when you repeat one.",
            status=HTTPStatus.BAD_REQUEST,
        )
    if len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise refused_field(
            "idempotency_key_invalid",
            "Idempotency-Key",
            f"The Idempotency-Key is no printable ASCII text of at most {MAX_KEY_LENGTH}"
            " characters.",
            remedy="Send a UUID.",
            status=HTTPStatus.BAD_REQUEST,
        )
    return key


async def _referral(request: Request, _: ClinicDep, services: ServicesDep) -> Referral:
    # Who sends and under which key is judged before the body is read.
    key = _idempotency_key(request)
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "not_multipart",
            "The body is no multipart/form-data.",
            remedy="Send a part `metadata` with JSON and a part `images` for each photograph.",
            accepted=["multipart/form-data"],
        )
    parts = _Parts(services.settings.max_image_bytes)
    try:
        parser = MultipartParser(
            options.get(b"boundary", b""),
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.end_header,
                "on_headers_finished": parts.name_part,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
        )
        if not options.get(b"boundary"):
            raise _malformed()
        async for chunk in request.stream():
            parser.write(chunk)
    except FormParserError as error:
        raise _malformed() from error
    return Referral(key, *parts.whole())


ReferralDep = Annotated[Referral, Depends(_referral)]


def _malformed() -> Refusal:
    return Refusal(
        HTTPStatus.BAD_REQUEST,
        "malformed_multipart",
        "The multipart body is broken or ends early.",
        remedy="Send the same request again; build the body with an HTTP library.",
    )


@dataclass
class _Parts:
    """Gathers the parts as the parser comes upon them."""

    max_image_bytes: int
    metadata: bytes | None = None
    files: list[bytes] = field(default_factory=list)
    finished: bool = False
    _header: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _name: bytes = b""
    _limit: int = 0
    _size: int = 0
    _chunks: list[bytes] = field(default_factory=list)

    def begin(self) -> None:
        self._disposition, self._header, self._value = b"", b"", b""
        self._chunks, self._size = [], 0

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bound_header()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound_header()

    def end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def name_part(self) -> None:
        self._name = parse_options_header(self._disposition)[1].get(b"name", b"")
        if self._name == b"metadata" and self.metadata is None:
            self._limit = MAX_METADATA_BYTES
        elif self._name == b"images":
            self._limit = self.max_image_bytes
            if len(self.files) == MAX_IMAGES:
                raise refused_field(
                    "too_many_images",
                    "images",
                    f"A case has at most {MAX_IMAGES} images.",
                    remedy="Send the best photographs of the lesion only.",
                )
        else:
            raise refused_field(
                "unexpected_part",
                "body",
                "The body has a part that is neither `images` nor the one `metadata`.",
                remedy="Send one part `metadata` and a part `images` for each photograph.",
            )

    def data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._limit:
            image = self._name == b"images"
            raise refused_field(
                "file_too_large",
                f"images[{len(self.files)}]" if image else "metadata",
                f"The part is larger than {self._limit} bytes.",
                remedy="Send a smaller photograph; JPEG is smaller than PNG."
                if image
                else "Say less in `history`.",
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        self._chunks.append(data[start:end])

    def end(self) -> None:
        content = b"".join(self._chunks)
        if self._name == b"metadata":
            self.metadata = content
        else:
            self.files.append(content)

    def finish(self) -> None:
        self.finished = True

    def whole(self) -> tuple[CaseMetadata, list[bytes]]:
        """Return metadata and files, once the body has come to its end."""
        if not self.finished:
            raise _malformed()
        if self.metadata is None:
            raise refused_field(
                "metadata_missing",
                "metadata",
                "The part `metadata` is missing.",
                remedy="Send it as JSON; it describes each image.",
            )
        if not self.files:
            raise refused_field(
                "images_missing",
                "images",
                "There is no photograph.",
                remedy="Send a part `images` for each photograph.",
            )
        try:
            metadata = CaseMetadata.model_validate_json(self.metadata)
        except ValidationError as error:
            raise invalid(error, within="metadata") from None
        return metadata, self.files

    def _bound_header(self) -> None:
        if len(self._header) + len(self._value) > MAX_PART_HEADER_BYTES:
            raise _malformed()
