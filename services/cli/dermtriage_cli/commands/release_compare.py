"""`release compare`: how two releases differ on the same photographs."""

from typing import Annotated

import typer

from dermtriage_cli.database.sessions import open_session
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Json
from dermtriage_cli.terminal.output import out, print_json


def compare(
    first: Annotated[str, typer.Argument(help="Name of a release.")],
    second: Annotated[str, typer.Argument(help="Name of another release.")],
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Compare the scores of two releases on the photographs that both have scored.

    Severities are those under the thresholds that each release proposes. Nothing is scored here:
    the scores come from `release shadow` or `rescore --release`.

    Example: dermtriage release compare 2026.12 2027.01
    """
    from dermtriage.releases.comparison import compare as compare_releases
    from dermtriage.releases.queries import find_release
    from dermtriage_cli.views.release_comparison import comparison_data, comparison_parts

    with open_session(data_dir) as (session, _):
        comparison = compare_releases(
            session, find_release(session, first), find_release(session, second)
        )
    if as_json:
        print_json(comparison_data(first, second, comparison))
        return
    for part in comparison_parts(first, second, comparison):
        out.print(part)
