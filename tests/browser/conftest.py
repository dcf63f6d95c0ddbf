"""The browser for the tests of this folder. Without one they are skipped; in .ci/run they fail."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.browser import chromium


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium or Chrome, started for one test."""
    with sync_playwright() as playwright:
        try:
            started = chromium.launch(playwright.chromium)
        except chromium.NoBrowserError as error:
            if chromium.REQUIRED:
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield started
        started.close()
