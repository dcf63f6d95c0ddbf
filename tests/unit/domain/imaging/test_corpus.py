"""Thousands of malformed files: each is refused with a documented error, or can be shown.

Set DERMTRIAGE_CORPUS to a folder to check its files too.
"""

import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.malformed import SECRET, corpus

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.decoding_pool import DecodingPool
from dermtriage.imaging.rendition import make_rendition, open_rendition
from dermtriage.imaging.validation import ImageFacts, inspect

HERE = Path(__file__)
DOCUMENTED = set(
    re.findall(
        r"^\| `(\w+)` \| 4(?:15|22) \|", (HERE.parents[4] / "docs" / "api.md").read_text(), re.M
    )
)
MAX_SECONDS = 2.0
MAX_GROWTH = 900_000_000
"""Bytes of memory."""


def files() -> Iterator[tuple[str, bytes]]:
    yield from corpus()
    if folder := os.environ.get("DERMTRIAGE_CORPUS"):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                yield str(path), path.read_bytes()


@pytest.mark.timeout(600 if os.environ.get("DERMTRIAGE_CORPUS") else 180)
def test_every_file_is_refused_with_a_documented_error_or_can_be_shown() -> None:
    accepted = refused = 0
    before = peak_memory()
    for name, data in files():
        started = time.process_time()
        answer = answered(data)
        if isinstance(answer, ImageRejected):
            assert answer.code in DOCUMENTED, name
            assert answer.detail, name
            assert answer.remedy, name
            refused += 1
        else:
            accepted += 1
            check_rendition(name, data, (answer.width, answer.height))
        assert time.process_time() - started < MAX_SECONDS, name
    assert accepted > 500
    assert refused > 1500
    assert peak_memory() - before < MAX_GROWTH


def answered(data: bytes) -> ImageFacts | ImageRejected:
    try:
        return inspect(data)
    except ImageRejected as error:
        return error


def check_rendition(name: str, data: bytes, size: tuple[int, int]) -> None:
    rendition = make_rendition(data)
    assert SECRET[:8] not in rendition, name
    assert markers(rendition) == MARKERS, name
    shown = open_rendition(rendition)
    assert shown.size == size or max(shown.size) == 1024, name


MARKERS = [0xD8, 0xE0, 0xDB, 0xDB, 0xC0, 0xC4, 0xC4, 0xC4, 0xC4, 0xDA, 0xD9]
"""Of a rendition: start, JFIF header, tables, frame, tables, scan, end."""


def markers(jpeg: bytes) -> list[int]:
    found, position = [jpeg[1]], 2
    while found[-1] != 0xDA:
        found.append(jpeg[position + 1])
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4])
    found += [match[0][1] for match in re.finditer(rb"\xff[^\0]", jpeg[position:])]
    return found


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_process_of_the_pool_survives_them_all() -> None:
    pool = DecodingPool(1)
    codes = set()
    for number, (_, data) in enumerate(files()):
        if number % 10 == 0:
            try:
                pool.inspect(data)
            except ImageRejected as error:
                codes.add(error.code)
    pool.close()
    assert codes <= DOCUMENTED
