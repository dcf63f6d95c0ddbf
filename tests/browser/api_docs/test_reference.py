"""The reference in a real browser: it loads from our server alone, in light and in dark."""

import os
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, Page

from dermtriage.core.settings import Settings
from dermtriage_api.app import create_app


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Page:
    page = browser.new_page(color_scheme=request.param)
    page.set_default_timeout(60_000)
    return page


def test_the_reference_shows_every_operation_without_leaving_our_server(
    page: Page, url: str
) -> None:
    errors: list[str] = []
    foreign_requests: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith((url, "data:")) else foreign_requests.append(r.url),
    )
    page.goto(url)
    page.wait_for_selector(".opblock")
    assert page.url == f"{url}/docs"
    paths = page.locator(".opblock-summary-path").all_inner_texts()
    shown = {path.replace("\u200b", "") for path in paths}
    assert {"/v1/cases", "/v1/worklist", "/v1/cases/{case_id}/decisions"} <= shown
    assert errors == []
    assert foreign_requests == []

    # By keyboard alone, a reader opens the first operation.
    first = page.locator(".opblock-summary-control").first
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".opblock.is-open")
    if folder := os.environ.get("SCREENSHOTS"):
        scheme = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        page.screenshot(path=f"{folder}/reference-{'dark' if scheme else 'light'}.png")
