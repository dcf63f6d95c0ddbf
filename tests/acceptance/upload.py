"""Uploads by plain HTTP requests, so that the tests do not depend on our own sender."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
from tests.photographs import jpeg, sha256


def case_form(photographs: list[bytes], **fields: Any) -> list[tuple[str, Any]]:
    """Return the parts of the request that sends a case."""
    metadata = {"images": [{"sha256": sha256(data)} for data in photographs], **fields}
    return [
        ("metadata", (None, json.dumps(metadata), "application/json")),
        *(("images", ("x.jpg", data, "image/jpeg")) for data in photographs),
    ]


def upload(
    client: httpx.Client, photographs: list[bytes], key: str | None = None, **fields: Any
) -> dict[str, Any]:
    """Send one case and return its receipt."""
    response = client.post(
        "/v1/cases",
        headers={"Idempotency-Key": key or str(uuid4())},
        files=case_form(photographs, **fields),
    )
    assert response.status_code == 202, response.text
    return response.json()


def upload_many(client: httpx.Client, count: int, per_case: int = 1) -> set[UUID]:
    """Send many cases and return the ids of their images."""
    image_ids = set()
    for number in range(count):
        photographs = [jpeg(number * per_case + i) for i in range(per_case)]
        receipt = upload(client, photographs)
        image_ids |= {UUID(image["image_id"]) for image in receipt["images"]}
    return image_ids
