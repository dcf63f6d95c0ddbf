"""Clinicians' sessions: login, expiry, logout."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from tests.integration.domain.accounts.accounts import (
    OTHER_SECRET,
    PASSWORD,
    SECRET,
    add_clinic,
    add_clinician,
    authenticated,
    is_refused,
    log_in,
    stored_text,
)

from dermtriage.accounts import clinicians as clinician_accounts
from dermtriage.accounts.sessions import log_out
from dermtriage.core.clock import utcnow
from dermtriage.core.enums import Role
from dermtriage.core.errors import NotAuthenticated
from dermtriage.models import Clinician, ClinicianSession


def test_a_login_opens_a_session(session: Session) -> None:
    clinician = add_clinician(session)
    before = utcnow()
    opened, token = log_in(session, lifetime=60)
    assert token.startswith("dts_")
    assert timedelta(seconds=60) <= opened.expires_at - before < timedelta(seconds=90)
    assert authenticated(session, token) is clinician
    assert clinician.role is Role.CLINICIAN
    kept = stored_text(session, "clinician_sessions") + stored_text(session, "clinicians")
    for secret in (token, token.removeprefix("dts_"), PASSWORD):
        assert secret not in kept
        assert secret.encode().hex() not in kept


@pytest.mark.parametrize(
    ("username", "password"),
    [("m.okafor", "four random words her"), ("m.okafor", ""), ("nobody", PASSWORD), ("", "")],
)
def test_a_failed_login_does_not_reveal_what_was_wrong(
    session: Session, username: str, password: str
) -> None:
    add_clinician(session)
    with pytest.raises(NotAuthenticated) as rejected:
        log_in(session, username, password)
    assert rejected.value.code == "invalid_login"
    assert str(rejected.value).startswith("Username or password is wrong.")
    assert session.scalars(select(ClinicianSession)).all() == []


def test_a_session_ends_by_expiry_logout_or_disabling(session: Session) -> None:
    add_clinician(session)
    _, expired = log_in(session, lifetime=-1)
    _, left = log_in(session)
    _, running = log_in(session)
    log_out(session, token=left, secret_key=SECRET)
    assert authenticated(session, running)
    for token in (expired, left, running + "x", "", "dts_"):
        with pytest.raises(NotAuthenticated) as rejected:
            authenticated(session, token)
        assert rejected.value.code == "invalid_session"
    with pytest.raises(NotAuthenticated):
        authenticated(session, running, OTHER_SECRET)

    clinician_accounts.disable_clinician(session, username="m.okafor")
    with pytest.raises(NotAuthenticated):
        authenticated(session, running)
    with pytest.raises(NotAuthenticated) as rejected:
        log_in(session)
    assert rejected.value.code == "invalid_login"
    # Enabling an account again does not revive its old sessions.
    session.execute(update(Clinician).values(disabled_at=None))
    with pytest.raises(NotAuthenticated):
        authenticated(session, running)


def test_a_clinic_s_key_is_not_a_session_token_nor_a_token_a_key(session: Session) -> None:
    _, key = add_clinic(session)
    add_clinician(session)
    _, token = log_in(session)
    with pytest.raises(NotAuthenticated):
        authenticated(session, key)
    assert is_refused(session, token)
