"""The figures of `evaluate-explanations` as a table."""

from rich.markup import escape
from rich.table import Table

from dermtriage_worker.evaluation.explanation_figures import ExplanationFigures


def explanations_table(figures: ExplanationFigures) -> Table:
    """Return how much of the heat maps lies inside the masks."""
    table = Table(title=f"Heat maps of release {escape(figures.release)}", title_justify="left")
    table.add_column("Photographs")
    table.add_column("Map")
    for heading in ("Peaks inside", "Energy inside"):
        table.add_column(heading, justify="right")
    samples = (("mask misses the centre", figures.off_centre), ("any", figures.any))
    for name, sample in samples:
        label = f"{sample.photographs}: {name}"
        kinds = (
            ("heat map", sample.heat_map),
            ("of untrained networks", sample.untrained),
            ("contrast alone", sample.contrast),
        )
        for kind, shares in kinds:
            table.add_row(label, kind, f"{shares.peaks_inside:.3f}", f"{shares.energy_inside:.3f}")
        table.add_row(label, "centred disc", "", f"{sample.disc_inside:.3f}")
        table.add_section()
    return table
