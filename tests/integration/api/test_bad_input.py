"""What cannot be accepted gets a clear answer, and leaves nothing behind."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image
from tests.photographs import jpeg, sha256

GOOD = jpeg()
BOUNDARY = "a-boundary"


def encoded(
    kind: str, size: tuple[int, int] = (100, 80), mode: str = "RGB", **options: Any
) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 1).save(out, kind, **options)
    return out.getvalue()


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    said = f'; filename="{file_name}"' if file_name is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{said}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def metadata(*files: bytes, **more: Any) -> bytes:
    images = [{"sha256": sha256(data)} for data in files]
    return part("metadata", json.dumps({"images": images, **more}).encode())


END = f"--{BOUNDARY}--\r\n".encode()
PICTURE = part("images", GOOD, "a.jpg")


@dataclass(frozen=True)
class Bad:
    """A body that is refused, and how."""

    name: str
    body: bytes
    status: int
    code: str
    field: str | None = None
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}"


def bad_requests() -> Iterator[Bad]:
    whole = metadata(GOOD) + PICTURE + END
    yield Bad("ends early", whole[:-40], 400, "malformed_multipart")
    yield Bad("no closing line", metadata(GOOD) + PICTURE, 400, "malformed_multipart")
    yield Bad("no multipart inside", b"{}", 400, "malformed_multipart")
    yield Bad("empty body", b"", 400, "malformed_multipart")
    yield Bad("no boundary", whole, 400, "malformed_multipart", content_type="multipart/form-data")
    yield Bad(
        "endless file name",
        metadata(GOOD) + part("images", GOOD, "a" * 5000) + END,
        400,
        "malformed_multipart",
    )
    yield Bad("JSON", b"{}", 415, "not_multipart", content_type="application/json")
    yield Bad("no file", metadata(GOOD) + END, 422, "images_missing", "images")
    yield Bad("no metadata", PICTURE + END, 422, "metadata_missing", "metadata")
    yield Bad("metadata twice", metadata(GOOD) * 2 + PICTURE + END, 422, "unexpected_part", "body")
    yield Bad("a stranger", part("x", b"y") + whole, 422, "unexpected_part", "body")
    yield Bad(
        "thirteen files",
        metadata(*[GOOD] * 12) + PICTURE * 13 + END,
        422,
        "too_many_images",
        "images",
    )
    yield Bad(
        "fewer files than described",
        metadata(GOOD, GOOD) + PICTURE + END,
        422,
        "image_count_mismatch",
        "images",
    )
    yield Bad(
        "large metadata",
        metadata(GOOD, history={"x": "y" * 70_000}) + PICTURE + END,
        413,
        "file_too_large",
        "metadata",
    )


def bad_metadata() -> Iterator[tuple[str, bytes, str]]:
    yield "broken JSON", b'{"images": [', "metadata"
    yield "a list", b"[]", "metadata"
    yield "not UTF-8", b'{"images": "\xff"}', "metadata"
    digest = sha256(GOOD)
    for field, value in (
        ("age_approx", 57),
        ("age_approx", "old"),
        ("sex", "x"),
        ("priority", "now"),
        ("fitzpatrick_skin_type", "VII"),
        ("clin_size_long_diam_mm", -1),
        ("onset_date", "2025-02-30"),
        ("patient_id", "a\x00b"),
        ("patient_id", "x" * 101),
        ("history", {"note": "a\x00b"}),
        ("replaces_case_id", "7"),
        ("surname", "x"),
    ):
        document = {"images": [{"sha256": digest}], field: value}
        yield f"{field}={value!r:.20}", json.dumps(document).encode(), f"metadata.{field}"
    yield "no digest", b'{"images": [{}]}', "metadata.images[0].sha256"
    yield "no images", b'{"images": []}', "metadata.images"
    yield (
        "not a number",
        f'{{"images": [{{"sha256": "{digest}"}}], "history": {{"x": NaN}}}}'.encode(),
        "metadata",
    )
    yield (
        "half a character",
        f'{{"images": [{{"sha256": "{digest}"}}], "patient_id": "\\ud800"}}'.encode(),
        "metadata",
    )


def bad_images() -> Iterator[tuple[str, bytes, int, str]]:
    yield "empty", b"", 422, "empty_image"
    yield "truncated JPEG", jpeg(size=(400, 400))[:-700], 422, "truncated_image"
    yield "truncated PNG", encoded("PNG")[:-30], 422, "truncated_image"
    yield "63 pixels", encoded("PNG", (63, 400)), 422, "image_too_small"
    yield "51 megapixels", encoded("PNG", (10_000, 5_100), "1"), 422, "image_too_large"
    still = Image.new("RGB", (100, 100), 2)
    moving = encoded("PNG", (100, 100), save_all=True, append_images=[still])
    yield "animated", moving, 422, "animated_image"
    yield "GIF", encoded("GIF", mode="P"), 415, "unsupported_media_type"
    yield "WebP", encoded("WEBP"), 415, "unsupported_media_type"
    yield "text", b"hello" * 100, 415, "unsupported_media_type"
    yield "HTML after JPEG magic", b"\xff\xd8\xff<script>", 422, "truncated_image"


def test_bad_requests(api, clinic, subtests: pytest.Subtests) -> None:
    for bad in bad_requests():
        with subtests.test(bad.name):
            answer = clinic.post(
                "/v1/cases",
                content=bad.body,
                headers={"Content-Type": bad.content_type, "Idempotency-Key": str(uuid4())},
            )
            _assert_refused(api, answer, bad.status, bad.code, bad.field)


def test_bad_metadata_names_the_field(api, clinic, subtests: pytest.Subtests) -> None:
    for name, document, field in bad_metadata():
        with subtests.test(name):
            answer = clinic.post(
                "/v1/cases",
                content=part("metadata", document) + PICTURE + END,
                headers={
                    "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                    "Idempotency-Key": str(uuid4()),
                },
            )
            _assert_refused(api, answer, 422, "invalid_request", None)
            assert answer.json()["errors"][0]["field"].startswith(field)


def test_bad_images_are_named_and_take_their_case_with_them(api, subtests: pytest.Subtests) -> None:
    for name, data, status, code in bad_images():
        with subtests.test(name):
            answer = api.send(GOOD, data)
            _assert_refused(api, answer, status, code, "images[1]")
            accepted = ["image/jpeg", "image/png"] if status == 415 else None
            assert answer.json().get("accepted") == accepted
    with subtests.test("other bytes than said"):
        answer = api.send(GOOD, images=[{"sha256": sha256(b"other")}])
        _assert_refused(api, answer, 422, "checksum_mismatch", "images[0]")
    with subtests.test("no case to replace"):
        answer = api.send(GOOD, replaces_case_id=str(uuid4()))
        _assert_refused(api, answer, 422, "replaces_unknown_case", "metadata.replaces_case_id")


def test_bad_idempotency_keys(api, clinic, subtests: pytest.Subtests) -> None:
    for key, code in (
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_missing"),
        ("k" * 256, "idempotency_key_invalid"),
        ("sch\xfcssel", "idempotency_key_invalid"),
    ):
        with subtests.test(repr(key)[:20]):
            answer = clinic.post(
                "/v1/cases",
                content=metadata(GOOD) + PICTURE + END,
                headers={
                    "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                    **({"Idempotency-Key": key.encode("latin-1")} if key is not None else {}),
                },
            )
            _assert_refused(api, answer, 400, code, "Idempotency-Key")


def test_a_used_key_with_other_content(api) -> None:
    api.send(GOOD, key="once")
    left = api.left_behind()

    answer = api.send(jpeg(1), key="once")

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert api.left_behind() == left


def test_unusual_photographs_are_accepted(api, subtests: pytest.Subtests) -> None:
    rotated = Image.Exif()
    rotated[0x0112] = 6
    other = Image.new("RGB", (100, 100), 2)
    for name, data in (
        ("CMYK", encoded("JPEG", mode="CMYK")),
        ("gray", encoded("JPEG", mode="L")),
        ("RGBA", encoded("PNG", mode="RGBA")),
        ("palette", encoded("PNG", mode="P")),
        ("16 bits", encoded("PNG", mode="I;16")),
        ("multi-picture", encoded("MPO", save_all=True, append_images=[other])),
        ("rotated", encoded("JPEG", exif=rotated)),
    ):
        with subtests.test(name):
            assert api.send(data).status_code == 202


def test_file_names_never_reach_the_store(api, clinic, store) -> None:
    names = ["../../etc/passwd", "..\\..\\x", "%2e%2e%2fx", "a\u202egpj.exe", "", "con:\x00"]
    files = [jpeg(seed) for seed in range(len(names))]
    answer = clinic.post(
        "/v1/cases",
        content=metadata(*files)
        + b"".join(part("images", data, name) for data, name in zip(files, names, strict=True))
        + END,
        headers={
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Idempotency-Key": "k",
        },
    )
    assert answer.status_code == 202
    assert api.stored() == {
        f"originals/{image['image_id'][-2:]}/{image['image_id']}"
        for image in answer.json()["images"]
    }


def _assert_refused(api, answer, status: int, code: str, field: str | None) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["remedy"]
    if field is not None:
        assert problem["field"] == field
        assert problem["errors"][0]["field"] == field
    assert not any(api.left_behind().values())
