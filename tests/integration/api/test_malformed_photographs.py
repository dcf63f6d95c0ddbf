"""Malformed photographs get a documented answer and leave nothing, or are shown."""

import re
import resource
from pathlib import Path

import httpx
import psutil
from tests.integration.api.conftest import Served
from tests.malformed import corpus
from tests.photographs import jpeg

CODES = set(
    re.findall(
        r"^\| `(\w+)` \| 4\d\d \|",
        (Path(__file__).parents[3] / "docs" / "api.md").read_text(),
        re.MULTILINE,
    )
)


def test_every_answer_is_documented_and_what_is_accepted_is_shown(
    api: Served, clinic: httpx.Client
) -> None:
    accepted, refused = 0, set()
    bombs = [(name, data) for name, data in corpus() if "flood" in name or "scans" in name]
    sample = [file for number, file in enumerate(corpus()) if number % 120 == 0]
    before = api.left_behind()
    for name, data in [*bombs, *sample]:
        answer = api.send(data)
        assert answer.elapsed.total_seconds() < 10, name
        if answer.status_code == 202:
            accepted += 1
            image_id = answer.json()["images"][0]["image_id"]
            shown = clinic.get(f"/v1/images/{image_id}/rendition")
            assert shown.status_code == 200, name
        else:
            assert answer.status_code in {415, 422}, name
            assert answer.json()["code"] in CODES, name
            refused.add(answer.json()["code"])
    assert accepted > 10
    assert {"corrupt_image", "truncated_image"} <= refused
    left = {name: count - before[name] for name, count in api.left_behind().items()}
    assert left["cases"] == left["images"] == accepted
    assert api.send(jpeg()).status_code == 202


def test_photographs_are_decoded_in_processes_of_their_own(api: Served) -> None:
    assert api.send(jpeg()).status_code == 202
    decoders = [
        child
        for child in psutil.Process().children()
        if "dermtriage.imaging.decoding_child" in child.cmdline()
    ]
    assert decoders
    for child in decoders:
        assert child.rlimit(resource.RLIMIT_AS)[0] < 2**31
