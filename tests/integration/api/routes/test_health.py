"""Liveness and readiness."""

import time

from sqlalchemy import text
from tests.integration.api.conftest import unready


def test_a_server_with_all_its_services_is_ready(api) -> None:
    with api.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"ready": True, "checks": {"database": "ok", "store": "ok", "queue": "ok"}},
    )


def test_a_database_behind_its_migrations_is_not_ready(api, sessions) -> None:
    set_version = text("UPDATE alembic_version SET version_num = :new RETURNING old.version_num")
    with sessions.begin() as session:
        newest = session.scalar(set_version, {"new": "0001"})
    with api.client() as client:
        ready = unready(client)
    with sessions.begin() as session:
        session.execute(set_version, {"new": newest})
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "outdated")


def test_readiness_is_logged_when_it_changes(api, sessions, caplog) -> None:
    caplog.set_level("INFO")

    def logged() -> list[str]:
        ours = [one for one in caplog.records if one.name.startswith(("dermtriage", "alembic"))]
        return [f"{one.message}: database {one.database}" for one in ours]

    with api.client() as client:
        client.get("/readyz")
        caplog.clear()
        for _ in range(3):
            assert client.get("/readyz").status_code == 200
        assert logged() == []
        with sessions.begin() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        for _ in range(3):
            unready(client)
    assert logged() == ["readiness changed: database outdated"]


def test_without_the_database_nobody_knows_which_store_is_its_own(api, servers) -> None:
    name = api.settings.database_url.split("?")[0].rsplit("/", 1)[1]
    servers.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    servers.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        with api.client() as client:
            deadline = time.monotonic() + 10
            while client.get("/readyz").json()["checks"]["store"] != "unknown":
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        servers.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        api.sessions.kw["bind"].dispose()
