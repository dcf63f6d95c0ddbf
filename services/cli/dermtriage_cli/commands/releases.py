"""`release`: which versions of the ensemble there are, and which one triages."""

import getpass
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from dermtriage_cli.commands.database import open_session
from dermtriage_cli.commands.options import DATA_DIR, DataDir, Json
from dermtriage_cli.output import out, print_json

if TYPE_CHECKING:
    from dermtriage.releases.comparison import Comparison
    from dermtriage_cli.release_folders import Listed

release = typer.Typer(help="Verify, list, compare and activate releases.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The release's name.")]


@release.command()
def verify(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER", help="A release's name, or its path.")
    ],
) -> None:
    """Load every file of a release and compare it with the manifest. Exits 1 if one is wrong.

    Example: dermtriage release verify runs/releases/2027.1
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.offline import release_folder
    from dermtriage_cli.release_folders import verify_release

    manifest = verify_release(release_folder(get_settings(), name))
    table = Table("File", "SHA-256")
    for file in manifest.files():
        table.add_row(escape(file.file), file.sha256)
    out.print(table)
    kinds = ", ".join(sorted({member.kind for member in manifest.members}))
    out.print(
        f"Release {escape(manifest.name)} is whole: every file is what the manifest says, and all"
        f" {len(manifest.members)} members were loaded ({escape(kinds)})."
    )


@release.command("list")
def list_releases(data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """List the releases that lie on this machine or are known to the database.

    Example: dermtriage release list
    """
    from dermtriage_cli.release_folders import list_all

    with open_session(data_dir) as (session, settings):
        listed = list_all(session, settings)
    if as_json:
        print_json([asdict(each) for each in listed])
        return
    table = Table("Release", "Mode", "Built", "AUC", "Sensitivity", "GMAC", "Activated", "Problem")
    for each in listed:
        table.add_row(*(escape(cell) for cell in _row(each)))
    out.print(table)


@release.command()
def activate(
    name: Name,
    override: Annotated[
        str | None,
        typer.Option(
            "--override",
            metavar="REASON",
            help="Activate it whatever its sensitivity is; the reason is kept.",
        ),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who answers for it; you by default.")] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Let a release triage from the next batch on, with the thresholds that it proposes.

    It is refused if the lower bound of its sensitivity lies below DERMTRIAGE_MINIMUM_SENSITIVITY.
    Cases keep their severities until their photographs are scored again.

    Example: dermtriage release activate 2027.1
    """
    from dermtriage.releases import activation
    from dermtriage_cli.release_folders import introduce_release

    with open_session(data_dir) as (session, settings):
        introduce_release(session, settings.releases_dir / name)
        activation.activate_release(
            session,
            name=name,
            minimum_sensitivity=settings.minimum_sensitivity,
            actor=by or user(),
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
    off: Annotated[bool, typer.Option("--off", help="Score with no shadow any more.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Score new photographs with a second release as well; it changes no case.

    Example: dermtriage release shadow 2027.1
    """
    from dermtriage.releases import activation
    from dermtriage_cli.release_folders import introduce_release

    if (name is None) != off:
        raise typer.BadParameter("Name a release, or say --off.")
    with open_session(data_dir) as (session, settings):
        if name is not None:
            introduce_release(session, settings.releases_dir / name)
        activation.set_shadow_release(session, name=name)
    out.print(f"Release {escape(name)} is the shadow." if name else "There is no shadow.")


@release.command()
def compare(
    first: Annotated[str, typer.Argument(help="A release's name.")],
    second: Annotated[str, typer.Argument(help="Another's.")],
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Compare what two releases said of the photographs that both have scored.

    Severities are those under the thresholds that each proposes. Nothing is scored here: the
    scores come from `release shadow`.

    Example: dermtriage release compare 2026.12 2027.01
    """
    from dermtriage.releases.comparison import compare as compare_releases
    from dermtriage.releases.queries import find_release

    with open_session(data_dir) as (session, _):
        found = compare_releases(
            session, find_release(session, first), find_release(session, second)
        )
    if as_json:
        print_json(_report(first, second, found))
    else:
        _show(first, second, found)


def user() -> str:
    """Return who runs the command, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has a number alone
        return f"uid {os.getuid()}"


def _row(listed: "Listed") -> tuple[str, ...]:
    from dermtriage_cli.release_folders import KEY_FIGURES

    figures = (listed.figures.get(name) for name in KEY_FIGURES)
    activated = listed.activated
    return (
        listed.name,
        listed.mode,
        f"{listed.created:%Y-%m-%d}" if listed.created else "",
        *(
            f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" if figure else ""
            for figure in figures
        ),
        f"{listed.gmac:.2f}" if listed.gmac else "",
        f"{activated['at'].astimezone():%Y-%m-%d %H:%M} by {activated['by']}" if activated else "",
        listed.problem,
    )


def _report(first: str, second: str, found: "Comparison") -> dict[str, Any]:
    from dermtriage.releases.comparison import SEVERITIES

    return {
        "first": first,
        "second": second,
        "photographs": found.photographs,
        "transitions": {a: {b: found.transitions[a, b] for b in SEVERITIES} for a in SEVERITIES},
        "severe_in_one_and_low_in_the_other": found.contradictions,
        "mean_drift": found.mean_drift,
        "mean_absolute_drift": found.mean_absolute_drift,
        "absolute_drift_quantiles": found.quantiles,
    }


def _show(first: str, second: str, found: "Comparison") -> None:
    from dermtriage.releases.comparison import SEVERITIES
    from dermtriage_cli.views import coloured

    if not found.photographs:
        out.print("No photograph has been scored by both.")
        return
    table = Table(title=f"{found.photographs} photographs that both have scored")
    table.add_column(escape(first))
    for severity in SEVERITIES:
        table.add_column(f"{severity} by {escape(second)}", justify="right")
    for severity in SEVERITIES:
        counts = (str(found.transitions[severity, other]) for other in SEVERITIES)
        table.add_row(coloured(severity), *counts)
    out.print(table)
    out.print(f"Severe to the one and low to the other: {found.contradictions}.")
    quantiles = ", ".join(f"{share:.0%} {size:.3f}" for share, size in found.quantiles.items())
    out.print(
        f"p(severe) moved by {found.mean_drift:+.3f} in the mean, and without the sign by"
        f" {found.mean_absolute_drift:.3f}; of the photographs, moved at most by: {quantiles}."
    )
