"""Who may send and who may read."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from dermtriage.accounts import clinicians as clinician_accounts
from dermtriage.accounts import clinics as clinic_accounts
from dermtriage.accounts.sessions import authenticate_clinician, login, logout
from dermtriage.core.clock import utcnow
from dermtriage.core.enums import Role
from dermtriage.core.errors import Conflict, NotAuthenticated, NotFound, RequestRejected
from dermtriage.models import ApiKey, Clinic, Clinician, ClinicianSession

SECRET = "a secret of the tests, long enough"
OTHER_SECRET = "another secret of the tests, as long"
PASSWORD = "four random words here"


def add_clinic(session: Session, name: str = "Aldea Norte") -> tuple[Clinic, str]:
    return clinic_accounts.add_clinic(session, name=name, secret_key=SECRET)


def add_clinician(session: Session, username: str = "m.okafor") -> Clinician:
    return clinician_accounts.add_clinician(
        session, username=username, display_name="Dr M. Okafor", password=PASSWORD
    )


def log_in(
    session: Session, username: str = "m.okafor", password: str = PASSWORD, lifetime: float = 60
) -> tuple[ClinicianSession, str]:
    return login(
        session, username=username, password=password, secret_key=SECRET, lifetime=lifetime
    )


def who(session: Session, token: str, secret: str = SECRET) -> Clinician:
    return authenticate_clinician(session, token=token, secret_key=secret)


def refused(session: Session, key: str, secret: str = SECRET) -> bool:
    try:
        clinic_accounts.authenticate_clinic(session, key=key, secret_key=secret)
    except NotAuthenticated as error:
        return error.code == "invalid_api_key"
    return False


def stored(session: Session, table: str) -> str:
    """Return everything that a table holds, as text."""
    session.flush()
    rows = session.execute(text(f"SELECT t::text, encode(t::text::bytea, 'hex') FROM {table} t"))
    return str(rows.all())


# Clinics


def test_a_key_opens_the_door_of_its_clinic_alone(session: Session) -> None:
    clinic, key = add_clinic(session)
    _, other_key = add_clinic(session, "Costa Sur")
    assert clinic_accounts.authenticate_clinic(session, key=key, secret_key=SECRET) == (
        clinic.id,
        clinic.name,
    )
    assert key.startswith(f"dtc_{clinic.keys[0].prefix}_")
    assert not refused(session, other_key)
    for wrong in (key[:-1], key + "x", key.upper(), key.replace("dtc_", "dts_"), "", "dtc_"):
        assert refused(session, wrong)
    assert refused(session, key, OTHER_SECRET)


def test_keys_carry_256_random_bits_and_are_not_kept(session: Session) -> None:
    keys = [add_clinic(session)[1] for _ in range(20)]
    secrets = {key.split("_", 2)[2] for key in keys}
    assert len(secrets) == 20
    assert all(len(secret) >= 43 for secret in secrets)  # 256 bits in base 64
    kept = stored(session, "api_keys")
    assert not [secret for secret in secrets if secret in kept or secret.encode().hex() in kept]


def test_a_clinic_s_second_key_is_as_good_as_its_first(session: Session) -> None:
    clinic, first = add_clinic(session)
    again, second = add_clinic(session, "  Aldea Norte ")
    assert again is clinic
    assert not refused(session, first)
    assert not refused(session, second)
    assert session.scalar(select(func.count()).select_from(Clinic)) == 1


def test_revoking_ends_every_key_of_one_clinic(session: Session) -> None:
    _, first = add_clinic(session)
    _, second = add_clinic(session)
    _, other = add_clinic(session, "Costa Sur")
    assert clinic_accounts.revoke_clinic(session, name="Aldea Norte") == 2
    assert clinic_accounts.revoke_clinic(session, name="Aldea Norte") == 0
    assert [refused(session, key) for key in (first, second, other)] == [True, True, False]
    _, fresh = add_clinic(session)
    assert not refused(session, fresh)
    with pytest.raises(NotFound):
        clinic_accounts.revoke_clinic(session, name="Nowhere")


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\x00b"])
def test_a_clinic_needs_a_name_that_can_be_kept(session: Session, name: str) -> None:
    with pytest.raises(RequestRejected) as rejected:
        add_clinic(session, name)
    assert rejected.value.field == "name"


def test_clinics_are_listed_by_name_with_their_keys(session: Session) -> None:
    for name in ("Costa Sur", "Aldea Norte", "Costa Sur"):
        add_clinic(session, name)
    session.flush()
    session.expire_all()
    listed = clinic_accounts.list_clinics(session)
    assert [(clinic.name, len(clinic.keys)) for clinic in listed] == [
        ("Aldea Norte", 1),
        ("Costa Sur", 2),
    ]


# Clinicians


def test_a_login_opens_a_session(session: Session) -> None:
    clinician = add_clinician(session)
    before = utcnow()
    opened, token = log_in(session, lifetime=60)
    assert token.startswith("dts_")
    assert timedelta(seconds=60) <= opened.expires_at - before < timedelta(seconds=90)
    assert who(session, token) is clinician
    assert clinician.role is Role.CLINICIAN
    kept = stored(session, "clinician_sessions") + stored(session, "clinicians")
    for secret in (token, token.removeprefix("dts_"), PASSWORD):
        assert secret not in kept
        assert secret.encode().hex() not in kept


@pytest.mark.parametrize(
    ("username", "password"),
    [("m.okafor", "four random words her"), ("m.okafor", ""), ("nobody", PASSWORD), ("", "")],
)
def test_a_wrong_login_does_not_tell_what_was_wrong(
    session: Session, username: str, password: str
) -> None:
    add_clinician(session)
    with pytest.raises(NotAuthenticated) as rejected:
        log_in(session, username, password)
    assert rejected.value.code == "invalid_login"
    assert str(rejected.value).startswith("Username or password is wrong.")
    assert session.scalars(select(ClinicianSession)).all() == []


def test_a_session_ends_by_time_by_logout_and_by_disabling(session: Session) -> None:
    add_clinician(session)
    _, expired = log_in(session, lifetime=-1)
    _, left = log_in(session)
    _, running = log_in(session)
    logout(session, token=left, secret_key=SECRET)
    assert who(session, running)
    for token in (expired, left, running + "x", "", "dts_"):
        with pytest.raises(NotAuthenticated) as rejected:
            who(session, token)
        assert rejected.value.code == "invalid_session"
    with pytest.raises(NotAuthenticated):
        who(session, running, OTHER_SECRET)

    clinician_accounts.disable_clinician(session, username="m.okafor")
    with pytest.raises(NotAuthenticated):
        who(session, running)
    with pytest.raises(NotAuthenticated) as rejected:
        log_in(session)
    assert rejected.value.code == "invalid_login"
    # An account that is opened again does not open its old sessions.
    session.execute(update(Clinician).values(disabled_at=None))
    with pytest.raises(NotAuthenticated):
        who(session, running)


def test_a_clinic_s_key_is_no_session_and_the_other_way_round(session: Session) -> None:
    _, key = add_clinic(session)
    add_clinician(session)
    _, token = log_in(session)
    with pytest.raises(NotAuthenticated):
        who(session, key)
    assert refused(session, token)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"username": "  "}, "username"),
        ({"username": "x" * 101}, "username"),
        ({"username": "a\x00b"}, "username"),
        ({"display_name": "x" * 201}, "display_name"),
        ({"password": "eleven char"}, "password"),
    ],
)
def test_a_clinician_needs_a_name_and_a_long_password(
    session: Session, changes: dict[str, str], field: str
) -> None:
    valid = {"username": "m.okafor", "display_name": "Dr", "password": PASSWORD}
    with pytest.raises(RequestRejected) as rejected:
        clinician_accounts.add_clinician(session, **valid | changes)
    assert rejected.value.field == field
    assert clinician_accounts.list_clinicians(session) == []


def test_a_username_is_given_once(session: Session) -> None:
    add_clinician(session)
    with pytest.raises(Conflict) as conflict:
        add_clinician(session, " m.okafor ")
    assert conflict.value.code == "username_taken"
    add_clinician(session, "a.silva")
    assert [c.username for c in clinician_accounts.list_clinicians(session)] == [
        "a.silva",
        "m.okafor",
    ]


def test_disabling_nobody_is_an_error(session: Session) -> None:
    with pytest.raises(NotFound):
        clinician_accounts.disable_clinician(session, username="nobody")


def test_equal_passwords_do_not_look_equal(session: Session) -> None:
    one, other = (
        add_clinician(session, "one"),
        add_clinician(session, "other"),
    )
    assert one.password_hash != other.password_hash
    assert one.password_hash.startswith("$argon2id$")


def test_the_prefix_of_a_key_is_no_key(session: Session) -> None:
    add_clinic(session)
    prefix = session.scalars(select(ApiKey.prefix)).one()
    assert refused(session, f"dtc_{prefix}_")
