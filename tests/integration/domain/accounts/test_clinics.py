"""Clinics and their API keys."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests.integration.domain.accounts.accounts import (
    OTHER_SECRET,
    SECRET,
    add_clinic,
    is_refused,
    stored_text,
)

from dermtriage.accounts import clinics as clinic_accounts
from dermtriage.core.errors import NotFound, RequestRejected
from dermtriage.models import ApiKey, Clinic


def test_a_key_authenticates_its_own_clinic_only(session: Session) -> None:
    clinic, key = add_clinic(session)
    _, other_key = add_clinic(session, "Costa Sur")
    assert clinic_accounts.authenticate_clinic(session, key=key, secret_key=SECRET) == (
        clinic.id,
        clinic.name,
    )
    assert key.startswith(f"dtc_{clinic.keys[0].prefix}_")
    assert not is_refused(session, other_key)
    for wrong in (key[:-1], key + "x", key.upper(), key.replace("dtc_", "dts_"), "", "dtc_"):
        assert is_refused(session, wrong)
    assert is_refused(session, key, OTHER_SECRET)


def test_keys_have_256_random_bits_and_are_not_stored(session: Session) -> None:
    keys = [add_clinic(session)[1] for _ in range(20)]
    secrets = {key.split("_", 2)[2] for key in keys}
    assert len(secrets) == 20
    assert all(len(secret) >= 43 for secret in secrets)  # 256 bits in base 64
    kept = stored_text(session, "api_keys")
    assert not [secret for secret in secrets if secret in kept or secret.encode().hex() in kept]


def test_a_clinic_s_second_key_is_as_good_as_its_first(session: Session) -> None:
    clinic, first = add_clinic(session)
    again, second = add_clinic(session, "  Aldea Norte ")
    assert again is clinic
    assert not is_refused(session, first)
    assert not is_refused(session, second)
    assert session.scalar(select(func.count()).select_from(Clinic)) == 1


def test_revoking_ends_every_key_of_one_clinic(session: Session) -> None:
    _, first = add_clinic(session)
    _, second = add_clinic(session)
    _, other = add_clinic(session, "Costa Sur")
    assert clinic_accounts.revoke_clinic(session, name="Aldea Norte") == 2
    assert clinic_accounts.revoke_clinic(session, name="Aldea Norte") == 0
    assert [is_refused(session, key) for key in (first, second, other)] == [True, True, False]
    _, fresh = add_clinic(session)
    assert not is_refused(session, fresh)
    with pytest.raises(NotFound):
        clinic_accounts.revoke_clinic(session, name="Nowhere")


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\x00b"])
def test_a_clinic_needs_a_name_that_can_be_stored(session: Session, name: str) -> None:
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


def test_the_prefix_of_a_key_is_not_a_key(session: Session) -> None:
    add_clinic(session)
    prefix = session.scalars(select(ApiKey.prefix)).one()
    assert is_refused(session, f"dtc_{prefix}_")
