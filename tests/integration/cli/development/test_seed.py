"""The accounts and samples of a development system, with a real API and database."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests.integration.api.conftest import serve

from dermtriage.core.errors import ConfigurationError, DermtriageError
from dermtriage.core.settings import Settings
from dermtriage.models import Case, Clinic, Clinician
from dermtriage_cli.demo.accounts import Accounts
from dermtriage_cli.development.seed import (
    development_accounts,
    refuse_foreign_database,
    send_samples,
)


@pytest.fixture
def accounts(settings: Settings, tmp_path: Path) -> Accounts:
    return development_accounts(settings, tmp_path)


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """URL of a running API."""
    with serve(settings) as port:
        yield f"http://127.0.0.1:{port}"


def count(sessions: sessionmaker[Session], model: type[Case | Clinic | Clinician]) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_a_configured_database_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="DERMTRIAGE_DATABASE_URL is set") as refused:
        refuse_foreign_database(settings)
    assert refused.value.remedy
    refuse_foreign_database(settings.model_copy(update={"database_url": ""}))


def test_accounts_are_added_once_and_kept_for_their_owner_alone(
    settings: Settings, sessions: sessionmaker[Session], accounts: Accounts, tmp_path: Path
) -> None:
    assert development_accounts(settings, tmp_path) == accounts
    assert (count(sessions, Clinic), count(sessions, Clinician)) == (1, 1)
    assert (tmp_path / "accounts.json").stat().st_mode & 0o777 == 0o600


def test_the_accounts_give_access_to_the_api(url: str, accounts: Accounts) -> None:
    login = {"username": accounts.username, "password": accounts.password}
    assert httpx.post(f"{url}/v1/sessions", json=login).status_code == 201
    headers = {"Authorization": f"Bearer {accounts.clinic_key}"}
    assert httpx.get(f"{url}/v1/cases", headers=headers).status_code == 200


def test_an_account_that_cannot_be_added_leaves_no_file(
    settings: Settings, accounts: Accounts, tmp_path: Path
) -> None:
    # A new folder with an old database: the username is taken.
    folder = tmp_path / "new"
    folder.mkdir()
    with pytest.raises(DermtriageError):
        development_accounts(settings, folder)
    assert list(folder.iterdir()) == []


def test_samples_are_sent_once(
    url: str, sessions: sessionmaker[Session], accounts: Accounts
) -> None:
    send_samples(url, accounts, 2)
    send_samples(url, accounts, 2)
    assert count(sessions, Case) == 2


def test_a_refused_sample_is_an_error(
    settings: Settings, sessions: sessionmaker[Session], accounts: Accounts
) -> None:
    small = settings.model_copy(update={"max_request_bytes": 1000})
    with serve(small) as port, pytest.raises(DermtriageError):
        send_samples(f"http://127.0.0.1:{port}", accounts, 1)
    assert count(sessions, Case) == 0
