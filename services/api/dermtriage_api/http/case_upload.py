"""The request that creates a case: its idempotency key, metadata and files, as a dependency."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from pydantic import ValidationError

from dermtriage.intake.referral import CaseMetadata
from dermtriage_api.auth import ClinicDep
from dermtriage_api.http.error_responses import validation_problem
from dermtriage_api.http.multipart import read_parts
from dermtriage_api.http.problems import invalid_field
from dermtriage_api.services import ServicesDep

MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class CaseUpload:
    """A case as a clinic sent it."""

    idempotency_key: str
    metadata: CaseMetadata
    files: list[bytes]


async def read_case_upload(request: Request, _: ClinicDep, services: ServicesDep) -> CaseUpload:
    """Read a case from the request's body. The sender and the key are checked before it is read.

    Raises
    ------
    HTTPProblem
        If the key, the body or the metadata is not valid.
    """
    key = _idempotency_key(request)
    content, files = await read_parts(
        request.headers.get("content-type"),
        request.stream(),
        max_image_bytes=services.settings.max_image_bytes,
    )
    try:
        metadata = CaseMetadata.model_validate_json(content)
    except ValidationError as error:
        raise validation_problem(error, within="metadata") from None
    return CaseUpload(key, metadata, files)


CaseUploadDep = Annotated[CaseUpload, Depends(read_case_upload)]


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "").strip()
    if not key:
        raise invalid_field(
            "idempotency_key_missing",
            "Idempotency-Key",
            "The header Idempotency-Key is missing.",
            remedy="Send a new random value, such as a UUID, with each new case, and the same"
            " value when you repeat a request.",
            status=HTTPStatus.BAD_REQUEST,
        )
    if len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise invalid_field(
            "idempotency_key_invalid",
            "Idempotency-Key",
            f"The Idempotency-Key is not printable ASCII of at most {MAX_KEY_LENGTH} characters.",
            remedy="Send a UUID.",
            status=HTTPStatus.BAD_REQUEST,
        )
    return key
