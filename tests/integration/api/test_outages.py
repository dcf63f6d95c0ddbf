"""What the API answers while something it needs is away."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from tests.photographs import jpeg


@pytest.fixture
def database(api, servers):
    """Cut the API off from its database, and let it back."""

    class Cut:
        name = api.settings.database_url.split("?")[0].rsplit("/", 1)[1]

        def __enter__(self) -> None:
            servers.sql(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
            servers.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{self.name}'"
            )

        def __exit__(self, *_: object) -> None:
            servers.sql(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")
            # The connections of the test itself were cut too.
            api.sessions.kw["bind"].dispose()

    cut = Cut()
    yield cut
    cut.__exit__()


def test_without_the_database(api, database) -> None:
    assert api.send(jpeg()).status_code == 202
    left = api.left_behind()
    with database:
        answer = api.send(jpeg(1), key="again")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        with api.client() as client:
            assert client.get("/healthz").status_code == 200
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["ready"]) == (503, False)
            assert ready.json()["checks"]["database"] == "unavailable"
            metrics = client.get("/metrics").text
            assert "dermtriage_database_up 0.0" in metrics
            assert 'dermtriage_http_requests_total{method="GET",route="/readyz"' in metrics
        assert len(api.stored()) == left["files"]
    assert api.send(jpeg(1), key="again").status_code == 202
    assert api.left_behind()["cases"] == 2


def test_without_the_store(api, clinic) -> None:
    store = Path(api.settings.store_url.removeprefix("file://"))
    aside = store.rename(store.with_name("aside"))
    store.write_text("no folder")

    answer = api.send(jpeg(), key="again")

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    with api.client() as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "unavailable")
    assert clinic.get("/v1/cases").json()["items"] == []
    store.unlink()
    aside.rename(store)
    assert not any(api.left_behind().values())
    assert api.send(jpeg(), key="again").status_code == 202


def test_without_the_queue(serve_with) -> None:
    api = serve_with(redis_url=SecretStr("unix:///nowhere/redis.sock"), redis_timeout=0.5)

    answer = api.send(jpeg())

    assert answer.status_code == 202
    assert api.left_behind()["pending_images"] == 1
    with api.client() as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert ready.json()["checks"]["queue"] == "unavailable"


@pytest.fixture
def refused_commits(sessions):
    """Let the database refuse every case at its commit, and quote the row as it does."""
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
def test_a_commit_that_fails_leaves_nothing_and_says_nothing(api, caplog) -> None:
    answer = api.send(jpeg(), patient_id="P-secret-88")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not any(api.left_behind().values())
    logged = [record for record in caplog.records if record.message == "request failed"]
    assert len(logged) == 1
    # Whoever reports it gives this word, and the operator finds it in the log.
    assert problem["instance"] == f"urn:uuid:{logged[0].instance}"
    for said in (answer.text, str([vars(record) for record in caplog.records])):
        assert "P-secret-88" not in said
