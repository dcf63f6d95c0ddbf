"""Prometheus metrics."""

import re

from tests.photographs import jpeg

SAMPLE = re.compile(
    r'^(?P<name>\w+)(?:\{(?P<labels>(?:\w+="[^"\n]*",?)*)\})? (?P<value>\S+)$', re.MULTILINE
)


def test_metrics_count_images_cases_and_requests_without_identifiers(api, clinician) -> None:
    case_id = api.send(jpeg(1), jpeg(2), patient_id="P-88").json()["case_id"]
    api.send(jpeg(3), priority="asap")
    clinician.get(f"/v1/cases/{case_id}")

    with api.client() as client:
        scraped = client.get("/metrics").text

    samples = {
        (found["name"], found["labels"]): float(found["value"])
        for found in SAMPLE.finditer(scraped)
    }
    assert samples[("dermtriage_pending_images", 'max_age="+Inf"')] == 3
    assert samples[("dermtriage_worklist_cases", 'lane="0"')] == 1
    assert samples[("dermtriage_worklist_cases", 'lane="1"')] == 1
    assert samples[("dermtriage_overdue_cases", 'lane="1"')] == 0
    assert samples[("dermtriage_live_workers", None)] == 0
    assert samples[("dermtriage_database_up", None)] == 1
    assert samples[("dermtriage_oldest_unscored_seconds", None)] > 0
    sent = 'method="POST",route="/v1/cases",status="202"'
    assert samples[("dermtriage_http_requests_total", sent)] == 2
    read = 'method="GET",route="/v1/cases/{case_id}",status="200"'
    assert samples[("dermtriage_http_requests_total", read)] == 1
    assert case_id not in scraped
    assert "P-88" not in scraped
