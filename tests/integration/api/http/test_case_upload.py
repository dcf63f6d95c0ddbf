"""An invalid upload gets a response that names what is wrong, and leaves nothing behind."""

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
    parameter = f'; filename="{file_name}"' if file_name is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{parameter}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def metadata(*files: bytes, **more: Any) -> bytes:
    images = [{"sha256": sha256(data)} for data in files]
    return part("metadata", json.dumps({"images": images, **more}).encode())


END = f"--{BOUNDARY}--\r\n".encode()
PICTURE = part("images", GOOD, "a.jpg")


@dataclass(frozen=True)
class Invalid:
    """An invalid body and the response to it."""

    name: str
    body: bytes
    status: int
    code: str
    field: str | None = None
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}"


def invalid_bodies() -> Iterator[Invalid]:
    whole = metadata(GOOD) + PICTURE + END
    yield Invalid("ends early", whole[:-40], 400, "malformed_multipart")
    yield Invalid("no closing line", metadata(GOOD) + PICTURE, 400, "malformed_multipart")
    yield Invalid("not multipart", b"{}", 400, "malformed_multipart")
    yield Invalid("empty body", b"", 400, "malformed_multipart")
    yield Invalid(
        "no boundary", whole, 400, "malformed_multipart", content_type="multipart/form-data"
    )
    yield Invalid(
        "endless file name",
        metadata(GOOD) + part("images", GOOD, "a" * 5000) + END,
        400,
        "malformed_multipart",
    )
    yield Invalid("JSON", b"{}", 415, "not_multipart", content_type="application/json")
    yield Invalid("no file", metadata(GOOD) + END, 422, "images_missing", "images")
    yield Invalid("no metadata", PICTURE + END, 422, "metadata_missing", "metadata")
    yield Invalid(
        "metadata twice", metadata(GOOD) * 2 + PICTURE + END, 422, "unexpected_part", "body"
    )
    yield Invalid("unknown part", part("x", b"y") + whole, 422, "unexpected_part", "body")
    yield Invalid(
        "thirteen files",
        metadata(*[GOOD] * 12) + PICTURE * 13 + END,
        422,
        "too_many_images",
        "images",
    )
    yield Invalid(
        "fewer files than metadata.images",
        metadata(GOOD, GOOD) + PICTURE + END,
        422,
        "image_count_mismatch",
        "images",
    )
    yield Invalid(
        "large metadata",
        metadata(GOOD, history={"x": "y" * 70_000}) + PICTURE + END,
        413,
        "file_too_large",
        "metadata",
    )


def invalid_metadata() -> Iterator[tuple[str, bytes, str]]:
    yield "broken JSON", b'{"images": [', "metadata"
    yield "a list", b"[]", "metadata"
    yield "not UTF-8", b'{"images": "\xff"}', "metadata"
    digest = sha256(GOOD)
    for field, value in (
        ("age_approx", 157),
        ("age_approx", "old"),
        ("sex", "x"),
        ("priority", "now"),
        ("fitzpatrick_skin_type", "VII"),
        ("age_approx", False),
        ("clin_size_long_diam_mm", -1),
        ("clin_size_long_diam_mm", True),
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
        "half a surrogate pair",
        f'{{"images": [{{"sha256": "{digest}"}}], "patient_id": "\\ud800"}}'.encode(),
        "metadata",
    )


def invalid_images() -> Iterator[tuple[str, bytes, int, str]]:
    yield "empty", b"", 422, "empty_image"
    yield "truncated JPEG", jpeg(size=(400, 400))[:-700], 422, "truncated_image"
    yield "truncated PNG", encoded("PNG")[:-30], 422, "truncated_image"
    yield "63 pixels", encoded("PNG", (63, 400)), 422, "image_too_small"
    yield "52 megapixels", encoded("PNG", (10_000, 5_200), "1"), 422, "image_too_large"
    still = Image.new("RGB", (100, 100), 2)
    moving = encoded("PNG", (100, 100), save_all=True, append_images=[still])
    yield "animated", moving, 422, "animated_image"
    yield "GIF", encoded("GIF", mode="P"), 415, "unsupported_media_type"
    yield "WebP", encoded("WEBP"), 415, "unsupported_media_type"
    yield "text", b"hello" * 100, 415, "unsupported_media_type"
    yield "HTML after JPEG magic", b"\xff\xd8\xff<script>", 422, "truncated_image"


def test_invalid_bodies(api, clinic, subtests: pytest.Subtests) -> None:
    for case in invalid_bodies():
        with subtests.test(case.name):
            answer = clinic.post(
                "/v1/cases",
                content=case.body,
                headers={"Content-Type": case.content_type, "Idempotency-Key": str(uuid4())},
            )
            _assert_refused(api, answer, case.status, case.code, case.field)


def test_invalid_metadata_names_the_field(api, clinic, subtests: pytest.Subtests) -> None:
    for name, document, field in invalid_metadata():
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


def test_an_invalid_image_is_named_and_its_case_is_refused(api, subtests: pytest.Subtests) -> None:
    for name, data, status, code in invalid_images():
        with subtests.test(name):
            answer = api.send(GOOD, data)
            _assert_refused(api, answer, status, code, "images[1]")
            accepted = ["image/jpeg", "image/png"] if status == 415 else None
            assert answer.json().get("accepted") == accepted
    with subtests.test("another checksum"):
        answer = api.send(GOOD, images=[{"sha256": sha256(b"other")}])
        _assert_refused(api, answer, 422, "checksum_mismatch", "images[0]")
    with subtests.test("unknown case to replace"):
        answer = api.send(GOOD, replaces_case_id=str(uuid4()))
        _assert_refused(api, answer, 422, "replaces_unknown_case", "metadata.replaces_case_id")


def test_invalid_idempotency_keys(api, clinic, subtests: pytest.Subtests) -> None:
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


def test_a_key_that_is_reused_with_other_content_is_refused(api) -> None:
    api.send(GOOD, key="once")
    left = api.left_behind()

    answer = api.send(jpeg(1), key="once")

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert api.left_behind() == left


def test_the_metadata_may_be_a_file_part(api, clinic) -> None:
    data = jpeg()
    answer = clinic.post(
        "/v1/cases",
        headers={"Idempotency-Key": "k"},
        files=[
            ("metadata", ("m.json", f'{{"images": [{{"sha256": "{sha256(data)}"}}]}}')),
            ("images", ("a.jpg", data)),
        ],
    )
    assert answer.status_code == 202


def test_a_file_that_is_too_large_is_named(serve_with) -> None:
    api = serve_with(max_image_bytes=50_000)
    answer = api.send(jpeg(), jpeg() + bytes(50_000))
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
    assert answer.json()["field"] == "images[1]"
    assert not any(api.left_behind().values())


def test_unusual_image_formats_are_accepted(api, subtests: pytest.Subtests) -> None:
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
