"""Who may call each route: a stranger, the clinic of the case, another clinic, a clinician."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, Route
from tests.integration.api.conftest import Served, log_in
from tests.photographs import jpeg

from dermtriage.core.settings import Settings
from dermtriage_api.app import create_app

ALL_MAY = (200, 200, 200, 200)
ALL_ARE_ASKED_FOR_A_LOGIN = (422, 422, 422, 422)

EXPECTED = {
    ("POST", "/v1/cases"): (401, 400, 400, 403),
    ("GET", "/v1/cases"): (401, 200, 200, 403),
    ("GET", "/v1/cases/{case_id}"): (401, 200, 404, 200),
    ("POST", "/v1/cases/{case_id}/withdraw"): (401, 200, 404, 403),
    ("GET", "/v1/worklist"): (401, 403, 403, 200),
    ("POST", "/v1/worklist/claims"): (401, 403, 403, 201),
    ("POST", "/v1/cases/{case_id}/claim"): (401, 403, 403, 201),
    ("PUT", "/v1/cases/{case_id}/claim"): (401, 403, 403, 409),
    ("DELETE", "/v1/cases/{case_id}/claim"): (401, 403, 403, 204),
    ("POST", "/v1/cases/{case_id}/decisions"): (401, 403, 403, 409),
    ("GET", "/v1/images/{image_id}/rendition"): (401, 200, 404, 200),
    ("GET", "/v1/images/{image_id}/heatmap"): (401, 403, 403, 404),
    ("POST", "/v1/sessions"): ALL_ARE_ASKED_FOR_A_LOGIN,
    ("DELETE", "/v1/sessions/current"): (401, 403, 403, 204),
    ("GET", "/healthz"): ALL_MAY,
    ("GET", "/readyz"): ALL_MAY,
    ("GET", "/metrics"): ALL_MAY,
    ("GET", "/openapi.json"): ALL_MAY,
    ("HEAD", "/openapi.json"): ALL_MAY,
    ("GET", "/"): (307, 307, 307, 307),
    ("GET", "/docs"): ALL_MAY,
    ("GET", "/docs/start.js"): ALL_MAY,
    ("GET", "/docs/assets"): (404, 404, 404, 404),
}
"""The status for each of the four, in this order. 400, 409, 422 and the heat map's 404 say that the
sender was let in: these requests are not complete, and the case has no claim and no heat map."""

BODIES = {
    ("PUT", "/v1/cases/{case_id}/claim"): {"token": 1},
    ("POST", "/v1/cases/{case_id}/decisions"): {
        "token": 1,
        "triage_version": 0,
        "outcome": "refer_routine",
    },
    ("POST", "/v1/sessions"): {},
}
QUERIES = {("DELETE", "/v1/cases/{case_id}/claim"): {"token": "1"}}


def routes() -> set[tuple[str, str]]:
    """Return method and path of every route of the application."""
    app = create_app(Settings(secret_key="a secret of the tests, long enough"))
    found = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, Mount):
            found.add(("GET", route.path))
        else:
            assert isinstance(route, Route)
            found |= {(method, route.path) for method in route.methods or ()}
    return found


def test_every_route_says_who_may_call_it() -> None:
    assert routes() == set(EXPECTED)


@pytest.fixture
def senders(
    api: Served, clinic: httpx.Client, other_clinic: httpx.Client
) -> Iterator[list[httpx.Client]]:
    # Not the fixture `clinician`: its session would end with the first logout.
    with api.client() as stranger, api.client(log_in(api, "m.okafor")) as clinician:
        yield [stranger, clinic, other_clinic, clinician]


def test_each_sender_may_call_its_own_routes_only(
    api: Served, senders: list[httpx.Client], subtests: pytest.Subtests
) -> None:
    last = ("DELETE", "/v1/sessions/current")
    for method, path in sorted(EXPECTED, key=lambda route: route == last):
        receipt = api.send(jpeg()).json()
        ids = {"case_id": receipt["case_id"], "image_id": receipt["images"][0]["image_id"]}
        statuses = tuple(
            sender.request(
                method,
                path.format(**ids),
                json=BODIES.get((method, path)),
                params=QUERIES.get((method, path)),
            ).status_code
            for sender in senders
        )
        with subtests.test(f"{method} {path}"):
            assert statuses == EXPECTED[method, path]
