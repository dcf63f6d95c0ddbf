"""How severities and times look in every table."""

from datetime import datetime

SEVERITIES = ("severe", "unscored", "indeterminate", "low")
"""The most urgent first."""

_COLORS = {"severe": "bold red", "unscored": "magenta", "indeterminate": "yellow", "low": "green"}


def local_time(moment: str) -> str:
    """Return an ISO 8601 time as a short text in this machine's time zone."""
    return datetime.fromisoformat(moment).astimezone().strftime("%a %d %b %H:%M")


def severity_markup(severity: str) -> str:
    """Return a severity in its color, as console markup."""
    return f"[{_COLORS.get(severity, 'default')}]{severity}[/]"
