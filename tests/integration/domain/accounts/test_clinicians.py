"""Clinicians' accounts: names, passwords, disabling."""

import pytest
from sqlalchemy.orm import Session
from tests.integration.domain.accounts.accounts import PASSWORD, add_clinician

from dermtriage.accounts import clinicians as clinician_accounts
from dermtriage.core.errors import Conflict, NotFound, RequestRejected


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


def test_usernames_are_unique(session: Session) -> None:
    add_clinician(session)
    with pytest.raises(Conflict) as conflict:
        add_clinician(session, " m.okafor ")
    assert conflict.value.code == "username_taken"
    add_clinician(session, "a.silva")
    assert [c.username for c in clinician_accounts.list_clinicians(session)] == [
        "a.silva",
        "m.okafor",
    ]


def test_disabling_an_unknown_clinician_is_an_error(session: Session) -> None:
    with pytest.raises(NotFound):
        clinician_accounts.disable_clinician(session, username="nobody")


def test_equal_passwords_have_different_hashes(session: Session) -> None:
    one, other = (
        add_clinician(session, "one"),
        add_clinician(session, "other"),
    )
    assert one.password_hash != other.password_hash
    assert one.password_hash.startswith("$argon2id$")
