"""Responses while database, store or queue are unavailable."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from tests.integration.api.conftest import unready
from tests.photographs import jpeg

from dermtriage.models import StoreIdentity


@pytest.fixture
def database(api, servers):
    """A context in which the database refuses all connections."""

    class Outage:
        name = api.settings.database_url.split("?")[0].rsplit("/", 1)[1]

        def __enter__(self) -> None:
            servers.sql(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
            servers.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{self.name}'"
            )

        def __exit__(self, *_: object) -> None:
            servers.sql(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")
            # The connections of the test itself were closed too.
            api.sessions.kw["bind"].dispose()

    outage = Outage()
    yield outage
    outage.__exit__()


def test_without_the_database(api, database) -> None:
    assert api.send(jpeg()).status_code == 202
    left = api.left_behind()
    with database:
        answer = api.send(jpeg(1), key="again")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        with api.client() as client:
            assert client.get("/healthz").status_code == 200
            ready = unready(client)
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
        ready = unready(client)
        assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "unavailable")
    assert clinic.get("/v1/cases").json()["items"] == []
    store.unlink()
    aside.rename(store)
    assert not any(api.left_behind().values())
    assert api.send(jpeg(), key="again").status_code == 202


def test_an_upload_into_an_empty_mount_point_is_refused(api, clinic) -> None:
    assert api.send(jpeg()).status_code == 202
    before = api.left_behind()
    store = Path(api.settings.store_url.removeprefix("file://"))
    aside = store.rename(store.with_name("aside"))
    store.mkdir()

    answer = api.send(jpeg(1), key="again")

    assert (answer.status_code, answer.json()["code"]) == (503, "store_mismatch")
    assert int(answer.headers["retry-after"]) > 0
    with api.client() as client:
        ready = unready(client)
        assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "mismatch")
    assert list(store.iterdir()) == []
    store.rmdir()
    aside.rename(store)
    assert api.left_behind() == before
    assert api.send(jpeg(1), key="again").status_code == 202


def test_a_database_that_is_not_paired_refuses_uploads(api, sessions) -> None:
    with sessions.begin() as session:
        identity = session.scalars(select(StoreIdentity)).one()
        session.delete(identity)
    with api.client() as client:
        assert unready(client).json()["checks"]["store"] == "mismatch"
    answer = api.send(jpeg())
    assert (answer.status_code, answer.json()["code"]) == (503, "store_mismatch")
    assert "db upgrade" in answer.json()["remedy"]
    assert not any(api.left_behind().values())


def test_without_the_queue(serve_with) -> None:
    api = serve_with(redis_url=SecretStr("unix:///nowhere/redis.sock"), redis_timeout=0.5)

    answer = api.send(jpeg())

    assert answer.status_code == 202
    assert api.left_behind()["pending_images"] == 1
    with api.client() as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert ready.json()["checks"]["queue"] == "unavailable"
