"""Accounts and cases of a development system, made once."""

import json
from dataclasses import asdict
from pathlib import Path

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage_cli import api_client as api
from dermtriage_cli.demo.accounts import Accounts, add_accounts
from dermtriage_cli.demo.referrals import sample_referrals
from dermtriage_cli.demo.samples import generate
from dermtriage_cli.embedded.data_dir import write_private
from dermtriage_cli.submission.sender import send_all
from dermtriage_cli.terminal.output import progress

CLINIC = "Development clinic"
USERNAME = "dev"
PASSWORD = "development-only"  # noqa: S105 - known to everybody, hence `refuse_foreign_database`


def refuse_foreign_database(settings: Settings) -> None:
    """Refuse any database but the embedded one: everybody knows the clinician's password.

    Raises
    ------
    ConfigurationError
        If the settings name a database.
    """
    if settings.database_url:
        raise ConfigurationError(
            "DERMTRIAGE_DATABASE_URL is set, but `dermtriage dev` adds a clinician with a"
            " well-known password.",
            remedy="Unset the variable: `dermtriage dev` starts a database of its own.",
        )


def development_accounts(settings: Settings, data_dir: Path) -> Accounts:
    """Return the accounts of the development system; the first call adds them.

    Parameters
    ----------
    settings
        The settings of the running stack.
    data_dir
        Folder of the stack; its file ``accounts.json`` keeps the clinic's API key.
    """
    path = data_dir / "accounts.json"
    if path.exists():
        return Accounts(**json.loads(path.read_text()))
    engine = make_engine(settings)
    try:
        with outage_as_unavailable(), make_sessions(engine).begin() as session:
            accounts = add_accounts(
                session, settings, clinic=CLINIC, username=USERNAME, password=PASSWORD
            )
            # Before the commit: an API key that is in use must not get lost.
            write_private(path, json.dumps(asdict(accounts)))
    finally:
        engine.dispose()
    return accounts


def send_samples(server: str, accounts: Accounts, count: int) -> None:
    """Send drawn samples, unless the clinic has sent some already.

    Parameters
    ----------
    server
        URL of the API.
    accounts
        Of the development system.
    count
        Number of samples.

    Raises
    ------
    DermtriageError
        If the server does not accept one.
    """
    with api.open_client(server, accounts.clinic_key) as client:
        if api.call(client, "GET", "/v1/cases", params={"limit": 1})["items"]:
            return
        with progress() as bars:
            task = bars.add_task("Sending samples", total=count)
            for result in send_all(client, sample_referrals(generate(count, seed=1))):
                if result.error is not None:
                    raise result.error
                bars.advance(task)
