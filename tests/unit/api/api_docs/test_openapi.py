"""The OpenAPI document: its examples fit its schemas, and docs/api.md lists its error codes."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import dermtriage
import dermtriage_api
from dermtriage.core.settings import Settings
from dermtriage_api.app import create_app

GUIDE = Path(__file__).parents[4] / "docs" / "api.md"


@cache
def document() -> dict[str, Any]:
    return create_app(Settings.model_construct()).openapi()


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def schemas_in_use() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the media type object of each JSON request and response body, with its place."""
    for name, operation in operations():
        contents = {"request": operation.get("requestBody", {}).get("content", {})}
        for status, response in operation["responses"].items():
            contents[status] = response.get("content", {})
        for where, content in contents.items():
            for media_type, media in content.items():
                if media_type == "multipart/form-data":
                    yield f"{name} {where}", {"schema": media["schema"]["properties"]["metadata"]}
                elif media_type.endswith("json"):
                    yield f"{name} {where}", media


USES = dict(schemas_in_use())


def test_every_operation_is_described() -> None:
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name


@pytest.mark.parametrize("use", USES)
def test_examples_fit_their_schemas(use: str) -> None:
    media = USES[use]
    schemas = document()["components"]["schemas"]
    # A body that may be left out is a model or null.
    (ref,) = [
        one["$ref"] for one in media["schema"].get("anyOf", [media["schema"]]) if "$ref" in one
    ]
    target = schemas[ref.rsplit("/", 1)[1]]
    examples = [media["example"]] if "example" in media else target.get("examples", [])
    assert examples, "neither the use nor the schema has an example"
    validator = Draft202012Validator(
        {**media["schema"], "components": {"schemas": schemas}},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    for example in examples:
        validator.validate(example)
        # An example must show every required field.
        if "example" not in media:
            assert set(example) >= set(target.get("required", []))


def test_the_guide_lists_every_error_code_of_the_api() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", GUIDE.read_text(), re.MULTILINE))
    ours = _codes(dermtriage_api)
    assert ours <= documented | {"ok"}
    domain = "".join(path.read_text() for path in _sources(dermtriage))
    stale = {code for code in documented - ours if f'"{code}"' not in domain}
    assert not stale, "the guide lists codes that nothing raises"


def _codes(package: Any) -> set[str]:
    source = "".join(path.read_text() for path in _sources(package))
    named = re.findall(r"\bcode\s*=\s*\"(\w+)\"", source)
    refused = re.findall(
        r"(?:invalid_field|HTTPProblem|render_problem)\(\s*(?:HTTPStatus\.\w+,\s*)?\"(\w+)\"",
        source,
    )
    routing = re.findall(r"HTTPStatus\.\w+: \(\s*\"([a-z_]+)\"", source)
    return {*named, *refused, *routing}


def _sources(package: Any) -> Iterator[Path]:
    return Path(package.__path__[0]).rglob("*.py")
