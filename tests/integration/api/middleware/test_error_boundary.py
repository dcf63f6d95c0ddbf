"""Every response has safe headers, and a fault of the server reveals nothing to the client."""

import pytest
from sqlalchemy import text
from tests.photographs import jpeg


def test_every_response_has_safe_headers(api, clinic, subtests: pytest.Subtests) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/v1/cases", "/nowhere", "/v1/x"):
        with subtests.test(path):
            answer = clinic.get(path)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "http" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            cached = "private, no-cache" if path == "/v1/cases" else "no-store"
            assert answer.headers["cache-control"] == cached


@pytest.fixture
def refused_commits(sessions):
    """Let the database refuse every case at its commit, with patient data in its message."""
    with sessions.begin() as session:
        session.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'row of %', NEW.patient_id; END $$"
            )
        )
        session.execute(
            text(
                "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON cases"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        )
    yield
    with sessions.begin() as session:
        session.execute(text("DROP FUNCTION refuse CASCADE"))


@pytest.mark.usefixtures("refused_commits")
def test_a_failed_commit_leaves_nothing_behind_and_no_patient_data_in_the_log(api, caplog) -> None:
    answer = api.send(jpeg(), patient_id="P-secret-88")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not any(api.left_behind().values())
    logged = [record for record in caplog.records if record.message == "request failed"]
    assert len(logged) == 1
    # The client reports this id, and the operator finds it in the log.
    assert problem["instance"] == f"urn:uuid:{logged[0].instance}"
    for output in (answer.text, str([vars(record) for record in caplog.records])):
        assert "P-secret-88" not in output
