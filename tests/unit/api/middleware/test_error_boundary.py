"""The error boundary: what a client sees of a fault of the server, and what the log keeps."""

import asyncio
import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dermtriage.core.logging_setup import JsonFormatter
from dermtriage_api.metrics import Metrics
from dermtriage_api.middleware.error_boundary import ErrorBoundary

PATIENT = "P-secret-88"
START = {"type": "http.response.start", "status": 200, "headers": []}


async def fail(scope: Any, receive: Any, send: Any) -> None:
    """Fail as a database does, which quotes the row that it refused."""
    try:
        raise KeyError(f"row of {PATIENT}")
    except KeyError as cause:
        raise RuntimeError(f"cannot store {PATIENT}") from cause


async def fail_while_answering(scope: Any, receive: Any, send: Any) -> None:
    await send(dict(START))
    await fail(scope, receive, send)


def answer(**headers: str) -> Callable[..., Any]:
    """Return an application that answers 200 with these headers."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        pairs = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]
        await send({**START, "headers": pairs})
        await send({"type": "http.response.body", "body": b"ok"})

    return application


def request(
    application: Callable[..., Any], metrics: Metrics | None = None, **scope: Any
) -> list[Any]:
    """Send one request through the boundary, and return the messages that the client gets."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    full = {"type": "http", "method": "POST", "path": f"/v1/cases/{PATIENT}", "headers": []} | scope
    asyncio.run(ErrorBoundary(application, metrics or Metrics())(full, receive, send))
    return sent


def counted(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Return method, route and status of the requests that were counted."""
    families = text_string_to_metric_families(metrics.render().decode())
    return [
        (sample.labels["method"], sample.labels["route"], sample.labels["status"])
        for family in families
        for sample in family.samples
        if "status" in sample.labels and sample.name.endswith("_total")
    ]


def test_a_client_sees_a_problem_that_names_the_logged_occurrence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    start, body = request(fail)
    problem = json.loads(body["body"])
    assert (start["status"], problem["code"]) == (500, "internal_error")
    assert problem["remedy"]
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    (record,) = caplog.records
    assert (record.levelno, record.message) == (logging.ERROR, "request failed")
    assert problem["instance"] == f"urn:uuid:{vars(record)['instance']}"


def test_a_client_sees_nothing_of_the_error() -> None:
    response = str(request(fail))
    for hidden in (PATIENT, "RuntimeError", "KeyError", __file__):
        assert hidden not in response


def test_the_log_has_types_and_places_of_the_errors_and_no_patient_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request(fail)
    (record,) = caplog.records
    line = JsonFormatter().format(record)
    assert PATIENT not in line
    logged = json.loads(line)["error"]
    assert [one for one in logged if ":" not in one] == ["RuntimeError", "KeyError"]
    assert any(one.startswith(__file__) and one.endswith(" in fail") for one in logged)


def test_an_error_after_the_response_began_is_logged_and_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    # The server closes the connection when it gets the error, so the client sees a broken response.
    with pytest.raises(RuntimeError):
        request(fail_while_answering, metrics)
    (record,) = caplog.records
    assert PATIENT not in JsonFormatter().format(record)
    assert [status for _, _, status in counted(metrics)] == ["200"]


@pytest.mark.parametrize("application", [answer(), fail])
def test_every_response_has_safe_headers(application: Callable[..., Any]) -> None:
    headers = dict(request(application)[0]["headers"])
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"referrer-policy"] == b"no-referrer"


def test_a_header_that_the_application_sets_is_kept() -> None:
    start, _ = request(answer(cache_control="private, no-cache"))
    assert [value for name, value in start["headers"] if name == b"cache-control"] == [
        b"private, no-cache"
    ]


@pytest.mark.parametrize(("application", "status"), [(answer(), "200"), (fail, "500")])
def test_requests_are_counted_by_the_template_of_their_route(
    application: Callable[..., Any], status: str
) -> None:
    metrics = Metrics()
    request(application, metrics, route=SimpleNamespace(path="/v1/cases/{case_id}"))
    assert counted(metrics) == [("POST", "/v1/cases/{case_id}", status)]


def test_a_request_to_no_route_is_counted_without_its_path() -> None:
    metrics = Metrics()
    request(answer(), metrics)
    assert counted(metrics) == [("POST", "other", "200")]
    assert PATIENT not in metrics.render().decode()


def test_what_is_no_request_passes_unchanged() -> None:
    metrics = Metrics()

    async def start_up(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    assert request(start_up, metrics, type="lifespan") == [{"type": "lifespan.startup.complete"}]
    assert counted(metrics) == []
