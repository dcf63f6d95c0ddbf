"""`release`: verify, list and activate the versions of the ensemble."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from dermtriage_cli.database.sessions import open_session
from dermtriage_cli.terminal.current_user import current_user
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Json
from dermtriage_cli.terminal.output import out, print_json

release = typer.Typer(
    help="Build, verify, list, compare and activate releases.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The release's name.")]


@release.command()
def verify(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER", help="Name or folder of the release.")
    ],
) -> None:
    """Load every file of a release and compare it with the manifest. Exits 1 if one differs.

    Example: dermtriage release verify runs/releases/2027.1
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.releases.folders import release_folder, verify_release
    from dermtriage_cli.views.releases import files_table

    manifest = verify_release(release_folder(get_settings(), name))
    out.print(files_table(manifest))
    kinds = ", ".join(sorted({member.kind for member in manifest.members}))
    out.print(
        f"Release {escape(manifest.name)} is complete: every file matches the manifest, and all"
        f" {len(manifest.members)} members load ({escape(kinds)})."
    )


@release.command("list")
def list_releases(data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """List the releases in the releases folder and in the database.

    Example: dermtriage release list
    """
    from dermtriage_cli.releases.listing import list_all
    from dermtriage_cli.views.releases import releases_table

    with open_session(data_dir) as (session, settings):
        listed = list_all(session, settings)
    if as_json:
        print_json([asdict(each) for each in listed])
        return
    out.print(releases_table(listed))


@release.command()
def activate(
    name: Name,
    override: Annotated[
        str | None,
        typer.Option(
            "--override",
            metavar="REASON",
            help="Activate it despite a low sensitivity; the reason is recorded.",
        ),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who is responsible; you by default.")] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Make a release the active one: it triages from the next batch on, with its thresholds.

    Refused if the lower bound of its sensitivity is below DERMTRIAGE_MINIMUM_SENSITIVITY.
    Cases keep their severities until their photographs are scored again.

    Example: dermtriage release activate 2027.1
    """
    from dermtriage.releases import activation
    from dermtriage_cli.releases.folders import register_release

    with open_session(data_dir) as (session, settings):
        register_release(session, settings.releases_dir / name)
        activation.activate_release(
            session,
            name=name,
            minimum_sensitivity=settings.minimum_sensitivity,
            actor=by or current_user(),
            override_reason=override,
        )
    out.print(
        f"Release {escape(name)} is active, with the thresholds that it proposes."
        " Cases keep their severities until they are scored again."
    )


@release.command()
def shadow(
    name: Annotated[
        str | None, typer.Argument(help="The release's name.", show_default=False)
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Stop scoring with a shadow release.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Score new photographs with a second release as well. It changes no case.

    Example: dermtriage release shadow 2027.1
    """
    from dermtriage.releases import activation
    from dermtriage_cli.releases.folders import register_release

    if (name is None) != off:
        raise typer.BadParameter("Give either a release or --off.")
    with open_session(data_dir) as (session, settings):
        if name is not None:
            register_release(session, settings.releases_dir / name)
        activation.set_shadow_release(session, name=name)
    out.print(
        f"Release {escape(name)} is the shadow release." if name else "No shadow release is set."
    )
