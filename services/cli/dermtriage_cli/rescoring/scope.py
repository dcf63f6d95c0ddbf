"""The option --scope of `rescore`."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import typer
from sqlalchemy.orm import Session

from dermtriage.accounts.clinics import find_clinic
from dermtriage.core.settings import Settings
from dermtriage.rescoring.scope import OPEN, Scope


def parse_scope(text: str, session: Session, settings: Settings) -> Scope:
    """Read the option --scope.

    Parameters
    ----------
    text
        ``open``, ``all``, ``since:YYYY-MM-DD`` or ``clinic:NAME``.
    session
        To find the clinic.
    settings
        With the time zone in which the day begins.

    Raises
    ------
    typer.BadParameter
        If the text has another form.
    DermtriageError
        If no clinic has this name.
    """
    kind, _, value = text.partition(":")
    if text == "open":
        return OPEN
    if text == "all":
        return Scope(kind="all")
    if kind == "since" and value:
        try:
            day = datetime.strptime(value, "%Y-%m-%d")  # noqa: DTZ007 - the zone is set below
        except ValueError as error:
            raise typer.BadParameter("Write the date like 2026-11-01.") from error
        began = day.replace(tzinfo=ZoneInfo(settings.timezone)).astimezone(UTC)
        return Scope(kind="since", since=began)
    if kind == "clinic" and value:
        return Scope(kind="clinic", clinic_id=find_clinic(session, name=value).id)
    raise typer.BadParameter("Give open, all, since:DATE or clinic:NAME.", param_hint="--scope")
