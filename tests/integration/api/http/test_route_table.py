"""What is answered without a route still knows the address that was asked for."""

import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/cases", "GET, POST"),
        ("GET", "/v1/cases/018f6b9e-0000-7000-8000-000000000000/claim", "DELETE, POST, PUT"),
        ("PUT", "/healthz", "GET"),
        ("TRACE", "/v1/cases", "GET, POST"),
        ("TRACE", "/nowhere", ""),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    clinic, method: str, path: str, allowed: str
) -> None:
    answer = clinic.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed
    assert clinic.headers["authorization"] not in answer.text


def test_refused_requests_are_counted_under_their_route(api) -> None:
    with api.client() as stranger:
        stranger.get("/v1/cases/018f6b9e-0000-7000-8000-000000000000")
        stranger.get("/v1/nowhere")
        scraped = stranger.get("/metrics").text
    counted = {
        (sample.labels["route"], sample.labels["status"])
        for family in text_string_to_metric_families(scraped)
        for sample in family.samples
        if sample.name == "dermtriage_http_requests_total"
    }
    assert counted == {("/v1/cases/{case_id}", "401"), ("other", "401")}
