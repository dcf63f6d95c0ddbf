"""The main figures of `evaluate` as a table."""

from rich.markup import escape
from rich.table import Table

from dermtriage_worker.evaluation.measure import Measurement
from dermtriage_worker.evaluation.results import Estimate

_HEADLINE = {
    "auc": "Malignancy AUC",
    "balanced_accuracy": "Balanced accuracy, 7 classes",
    "balanced_accuracy_adjusted": "  with the class frequencies taken out",
    "specificity_at_95_sensitivity": "Specificity at 95 % sensitivity",
    "sensitivity_lower": "Sensitivity at the lower threshold",
    "specificity_lower": "Specificity at the lower threshold",
    "sensitivity_upper": "Sensitivity at the upper threshold",
    "specificity_upper": "Specificity at the upper threshold",
    "severe_called_low": "Severe called low",
    "benign_called_low": "Benign called low",
    "sensitivity_upper_by_lesion": "Lesions in the severe lane, of the severe",
    "specificity_upper_by_lesion": "Lesions out of the severe lane, of the benign",
    "severe_called_low_by_lesion": "Severe lesions called low",
    "calibration_error": "Calibration error of p(severe)",
    "out_of_scope": "Flagged out of scope",
}


def evaluation_table(measurement: Measurement) -> Table:
    """Return the main figures of a measurement, with their intervals."""
    evaluation = measurement.evaluation
    table = Table(
        title=f"Release {escape(measurement.manifest.name)} on {evaluation.photographs:,}"
        f" photographs of {evaluation.lesions:,} lesions, {evaluation.severe:,} severe"
        f"{', out of fold' if measurement.out_of_fold else ''}",
        title_justify="left",
    )
    for heading in ("Figure", "Value", "95 % interval", "Photographs"):
        table.add_column(heading, justify="left" if heading == "Figure" else "right")
    for name, label in _HEADLINE.items():
        if (estimate := evaluation.figures.get(name)) is not None:
            table.add_row(label, *_cells(estimate))
    if measurement.shifts is not None:
        table.add_section()
        for row in measurement.shifts.shifts:
            table.add_row(f"AUC: {row.description}", *_cells(row.auc))
    return table


def _cells(estimate: Estimate) -> tuple[str, str, str]:
    return (
        f"{estimate.value:.3f}",
        f"{estimate.low:.3f} to {estimate.high:.3f}",
        f"{estimate.photographs:,}",
    )
