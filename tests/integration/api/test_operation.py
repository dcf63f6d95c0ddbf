"""What load balancers, monitoring, browsers and curl see."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.photographs import jpeg

GUIDE = Path(__file__).parents[3] / "docs" / "api.md"
SAMPLE = re.compile(
    r'^(?P<name>\w+)(?:\{(?P<labels>(?:\w+="[^"\n]*",?)*)\})? (?P<value>\S+)$', re.MULTILINE
)


def test_a_ready_server_says_so(api) -> None:
    with api.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"ready": True, "checks": {"database": "ok", "store": "ok", "queue": "ok"}},
    )


def test_a_database_behind_its_migrations_is_not_ready(api, sessions) -> None:
    move = text("UPDATE alembic_version SET version_num = :new RETURNING old.version_num")
    with sessions.begin() as session:
        newest = session.scalar(move, {"new": "before"})
    with api.client() as client:
        ready = client.get("/readyz")
    with sessions.begin() as session:
        session.execute(move, {"new": newest})
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "outdated")


def test_metrics_count_the_waiting_and_the_requests_without_patients(api, clinician) -> None:
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


def test_every_answer_has_safe_headers(api, clinic, subtests: pytest.Subtests) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/v1/cases", "/nowhere", "/v1/x"):
        with subtests.test(path):
            answer = clinic.get(path)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "http" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            kept = "private, no-cache" if path == "/v1/cases" else "no-store"
            assert answer.headers["cache-control"] == kept


def test_unknown_addresses_and_methods_are_problems(api, clinic) -> None:
    unknown = clinic.get("/v1/nowhere")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    wrong = clinic.patch("/v1/cases")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"]
    # Who has no key does not learn which addresses there are.
    with api.client() as client:
        assert client.get("/v1/nowhere").status_code == 401


def test_the_reference_loads_everything_from_this_server(api) -> None:
    with api.client() as client:
        root = client.get("/")
        assert root.headers["location"] == "docs"
        page = client.get("/docs").text
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert len(loaded) == 4
        for address in loaded:
            if not address.startswith("data:"):
                assert client.get("/" + address).status_code == 200
        assert "<script>" not in page
        assert client.get("/openapi.json").json()["info"]["title"] == "dermtriage"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_of_the_guide_work(api, tmp_path: Path) -> None:
    (tmp_path / "lesion.jpg").write_bytes(jpeg())
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    send, poll = blocks[1:3]
    script = f"""
set -eu
uuidgen() {{ cat /proc/sys/kernel/random/uuid; }}
{send}
{poll.splitlines()[0]}
"""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "SERVER": api.url, "KEY": api.clinic_key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"clinic_reference":"REF-2031"' in done.stdout
    assert api.left_behind()["cases"] == 1
