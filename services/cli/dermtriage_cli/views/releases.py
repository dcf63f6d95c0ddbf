"""Releases and their files as tables."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from dermtriage_cli.releases.listing import KEY_FIGURES, ListedRelease
from dermtriage_worker.ensemble.manifest import Manifest


def files_table(manifest: Manifest) -> Table:
    """Return the files of a release with their digests."""
    table = Table("File", "SHA-256")
    for file in manifest.files():
        table.add_row(escape(file.file), file.sha256)
    return table


def releases_table(releases: Iterable[ListedRelease]) -> Table:
    """Return releases, one row each."""
    table = Table("Release", "Mode", "Built", "AUC", "Sensitivity", "GMAC", "Activated", "Problem")
    for release in releases:
        table.add_row(*(escape(cell) for cell in _cells(release)))
    return table


def _cells(release: ListedRelease) -> tuple[str, ...]:
    figures = (release.figures.get(name) for name in KEY_FIGURES)
    activated = release.activated
    return (
        release.name,
        release.mode,
        f"{release.created:%Y-%m-%d}" if release.created else "",
        *(
            f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" if figure else ""
            for figure in figures
        ),
        f"{release.gmac:.2f}" if release.gmac else "",
        f"{activated['at'].astimezone():%Y-%m-%d %H:%M} by {activated['by']}" if activated else "",
        release.problem,
    )
