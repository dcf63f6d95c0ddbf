"""How to reach a running system, with its accounts."""

from pathlib import Path

from rich.markup import escape

from dermtriage_cli.demo.accounts import Accounts


def access_text(url: str, logs: Path, accounts: Accounts) -> str:
    """Return the address and the accounts of a system, as console markup."""
    return (
        f"\nServing at [bold]{url}[/] (API reference: {url}/docs)\n"
        f"Clinician: {accounts.username}, password: {accounts.password}\n"
        f"  dermtriage worklist --server {url} --username {accounts.username}"
        f" --password={accounts.password}\n"
        f"Clinic's API key: {accounts.clinic_key}\n"
        f"Logs in {escape(str(logs))}. Ctrl-C stops everything."
    )
