"""Liveness and readiness."""

from sqlalchemy import text


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
        ready = client.get("/readyz")
    with sessions.begin() as session:
        session.execute(set_version, {"new": newest})
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "outdated")
