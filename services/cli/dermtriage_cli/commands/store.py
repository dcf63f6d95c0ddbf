"""`store`: adopt an image store, and sweep it."""

from typing import TYPE_CHECKING, Annotated

import typer

from dermtriage_cli.terminal.current_user import current_user
from dermtriage_cli.terminal.options import DATA_DIR, DataDir
from dermtriage_cli.terminal.output import out

if TYPE_CHECKING:
    from dermtriage.storage.pairing import Pair

store = typer.Typer(help="Maintain the image store.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@store.command()
def adopt(
    yes: Yes = False,
    by: Annotated[str | None, typer.Option(help="Who is responsible; you by default.")] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Pair the database with the image store that the settings name, whatever either held.

    For a database and a store that were restored from a backup, or moved. Look first whether the
    right disk is mounted. Another database that was paired with this store loses it.

    Example: dermtriage store adopt
    """
    from dermtriage.operations.store_adoption import adopt_store
    from dermtriage.storage.pairing import examine_pair
    from dermtriage_cli.database.stores import open_store
    from dermtriage_cli.embedded.stopped_stack import database_settings

    with database_settings(data_dir) as settings, open_store(settings) as (sessions, images):
        with sessions() as session:
            pair = examine_pair(session, images)
        _show(pair)
        if pair.matches:
            out.print("They are paired already; nothing was changed.")
            return
        if not yes:
            typer.confirm("Pair this database with this store?", abort=True)
        with sessions.begin() as session:
            adopted = adopt_store(session, images, actor=by or current_user())
    out.print(f"Database and image store are paired by {adopted}.")


@store.command()
def sweep(
    without_limit: Annotated[
        bool,
        typer.Option("--without-limit", help="Also if the orphans are more than one per cent."),
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Move originals that belong to no case into quarantine, as upkeep does every night.

    Use --without-limit after upkeep has refused to, and once you know where so many come from.

    Example: dermtriage store sweep --without-limit
    """
    from dermtriage.core.clock import utcnow
    from dermtriage.operations.orphan_sweep import sweep_orphans
    from dermtriage_cli.database.stores import open_store
    from dermtriage_cli.embedded.data_dir import resolve_settings

    settings = resolve_settings(data_dir)
    with open_store(settings) as (sessions, images):
        swept = sweep_orphans(sessions, images, settings, now=utcnow(), limited=not without_limit)
    out.print(f"{swept.orphans} orphans among {swept.originals + swept.moved} originals.")
    out.print(
        f"{swept.moved} moved into quarantine, {swept.restored} moved back, {swept.deleted} deleted"
        f" for good; {swept.quarantined} are in quarantine."
    )
    if swept.refused:
        out.print("None was moved: there are too many. See `dermtriage doctor`.")
        raise typer.Exit(1)


def _show(pair: "Pair") -> None:
    out.print(f"The database expects {pair.in_database or 'no store yet'}.")
    out.print(f"The image store holds {pair.in_store or 'no identity'}.")
    if pair.sampled:
        out.print(
            f"Of the {pair.sampled} newest photographs of the database, the store holds"
            f" {pair.present}."
        )
    else:
        out.print("The database has no photographs yet.")
