"""Clinicians log in and out."""

import threading
from typing import Any

import httpx
from sqlalchemy import select
from tests.integration.api.conftest import PASSWORD, Served, log_in

from dermtriage.models import AuditEntry, Clinician

STRANGERS = 12
LOGINS = 8


def attempt(client: httpx.Client, username: str, password: str) -> int:
    login = {"username": username, "password": password}
    return client.post("/v1/sessions", json=login).status_code


def audited(api: Served, action: str) -> list[tuple[Any, Any]]:
    with api.sessions() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == action))
        return [(entry.actor_id, entry.detail) for entry in entries]


def test_a_wrong_password_opens_no_session(api) -> None:
    login = {"username": "nobody", "password": "four random words here"}
    with api.client() as client:
        answer = client.post("/v1/sessions", json=login)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_login")


def test_a_closed_session_is_not_valid(api, clinician) -> None:
    assert clinician.get("/v1/worklist").status_code == 200
    assert clinician.delete("/v1/sessions/current").status_code == 204
    answer = clinician.get("/v1/worklist")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_session")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_logins_logouts_and_refusals_are_audited_without_what_was_typed(
    api, clinician, caplog
) -> None:
    with api.client() as client:
        assert attempt(client, "m.okafor", "a wrong password") == 401
        assert attempt(client, "a password typed as a name", PASSWORD) == 401
    clinician.delete("/v1/sessions/current")

    with api.sessions() as session:
        clinician_id = session.scalar(select(Clinician.id))
    where = {"address": "127.0.0.1"}
    assert audited(api, "session.opened") == [(clinician_id, where)]
    assert audited(api, "session.refused") == [(clinician_id, where), (None, where)]
    assert audited(api, "session.closed") == [(clinician_id, {})]
    logged = [record for record in caplog.records if record.message == "login refused"]
    assert [record.known for record in logged] == [True, False]
    for typed in ("a wrong password", "a password typed as a name"):
        assert typed not in str([vars(record) for record in caplog.records])


def test_strangers_with_wrong_passwords_keep_no_clinician_out(api) -> None:
    log_in(api, "m.okafor")
    stop = threading.Event()

    def guess(number: int) -> None:
        with api.client() as client:
            while not stop.is_set():
                attempt(client, f"name {number}", "a wrong password")

    strangers = [threading.Thread(target=guess, args=[n]) for n in range(STRANGERS)]
    for stranger in strangers:
        stranger.start()
    try:
        with api.client() as client:
            answers = [attempt(client, "m.okafor", PASSWORD) for _ in range(LOGINS)]
    finally:
        stop.set()
        for stranger in strangers:
            stranger.join()
    assert answers == [201] * LOGINS
