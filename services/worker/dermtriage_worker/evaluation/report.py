"""The report of an evaluation: a page for people, and the same figures for programs."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup
from pydantic import AwareDatetime, BaseModel, ConfigDict

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage.imaging.rendition import make_rendition, open_rendition
from dermtriage_worker.evaluation import plots
from dermtriage_worker.evaluation.formats import CLASS_NAMES, template
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.measure import Measurement
from dermtriage_worker.evaluation.results import Evaluation, RepeatedHoldout, Shifts
from dermtriage_worker.evaluation.triaged import triage_labelled, triage_prediction

PAGE_NAME = "report.html"
FIGURES_NAME = "report.json"
PLOTS_NAME = "plots"
MISSES = 12
"""Number of false negatives that the report shows."""

ACCEPTABLE_AUC_LOSS = 0.03
"""How much AUC may be lost under a shift."""

_THUMBNAIL = (240, 180)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class LabelledSet(_Part):
    """The labelled set that was measured on."""

    labels: str
    images: str
    out_of_fold: bool
    inputs: dict[str, int]
    """Number of photographs for which each metadata field was given."""


class Miss(_Part):
    """A severe photograph that got a low score."""

    image_id: str
    diagnosis: str
    p_severe: float
    called: str
    reasons: tuple[str, ...]


class Report(_Part):
    """Everything that `report.json` holds."""

    created: AwareDatetime
    release: str
    set: LabelledSet
    evaluation: Evaluation
    repeated_holdout: RepeatedHoldout | None
    shifts: Shifts | None
    misses: list[Miss]


@dataclass(frozen=True, slots=True)
class Written:
    """Where a report is."""

    page: Path
    figures: Path


def write_report(measurement: Measurement, folder: Path, *, images: Path, labels: Path) -> Written:
    """Write a self-contained `report.html`, `report.json`, and the plots as files.

    Parameters
    ----------
    folder
        Is created if it is missing; an earlier report in it is replaced.
    images, labels
        Where the set was read from; the report has only the last part of each path.
    """
    missed = _misses(measurement)
    report = Report(
        created=datetime.now(UTC).replace(microsecond=0),
        release=measurement.manifest.name,
        set=LabelledSet(
            labels=labels.name,
            images=images.name,
            out_of_fold=measurement.out_of_fold,
            inputs=_used_inputs(measurement),
        ),
        evaluation=measurement.evaluation,
        repeated_holdout=measurement.repeated_holdout,
        shifts=measurement.shifts,
        misses=[miss for _, miss in missed],
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = Written(folder / PAGE_NAME, folder / FIGURES_NAME)
    written.figures.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    drawn = _plots(report, measurement)
    (folder / PLOTS_NAME).mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (folder / PLOTS_NAME / f"{name}.svg").write_text(svg, encoding="utf-8")
    written.page.write_text(_page(report, measurement, missed, drawn), encoding="utf-8")
    return written


def _plots(report: Report, measurement: Measurement) -> dict[str, str]:
    """Draw the plots that the set defines; return SVG by name."""
    thresholds = report.evaluation.thresholds
    triaged = triage_labelled(measurement.predictions, measurement.labelled, thresholds)
    drawn = {
        "reliability": plots.reliability(report.evaluation.reliability),
        "scores": plots.scores(triaged, thresholds),
    }
    if triaged.positive.any() and not triaged.positive.all():
        drawn["roc"] = plots.roc(triaged, thresholds)
        drawn["precision_recall"] = plots.precision_recall(triaged)
    if report.shifts is not None:
        drawn["shifts"] = plots.shifts(report.shifts.shifts, acceptable_loss=ACCEPTABLE_AUC_LOSS)
    return drawn


def _page(
    report: Report,
    measurement: Measurement,
    missed: Sequence[tuple[Labelled, Miss]],
    drawn: Mapping[str, str],
) -> str:
    return template("report.html.j2").render(
        report=report,
        manifest=measurement.manifest,
        evaluation=report.evaluation,
        # The plots are the only markup that comes from outside the template.
        plots={name: Markup(svg) for name, svg in drawn.items()},  # noqa: S704
        thumbnails={one.image_id: _thumbnail(one) for one, _ in missed},
        classes=CLASSES,
        class_names=CLASS_NAMES,
        severe_classes=SEVERE_CLASSES,
        bearable=ACCEPTABLE_AUC_LOSS,
    )


def _used_inputs(measurement: Measurement) -> dict[str, int]:
    used: dict[str, int] = {}
    for prediction in measurement.predictions:
        for name in prediction.inputs:
            used[name] = used.get(name, 0) + 1
    return dict(sorted(used.items()))


def _misses(measurement: Measurement) -> list[tuple[Labelled, Miss]]:
    """Severe photographs with the lowest scores, the lowest first."""
    policy = measurement.manifest.thresholds.policy()
    pairs = zip(measurement.labelled, measurement.predictions, strict=True)
    severe = [(one, prediction) for one, prediction in pairs if one.diagnosis in SEVERE_CLASSES]
    worst = sorted(severe, key=lambda pair: pair[1].p_severe)[:MISSES]
    return [
        (
            one,
            Miss(
                image_id=one.image_id,
                diagnosis=one.diagnosis,
                p_severe=prediction.p_severe,
                called=triage_prediction(prediction, policy).severity.value,
                reasons=triage_prediction(prediction, policy).reasons,
            ),
        )
        for one, prediction in worst
    ]


def _thumbnail(one: Labelled) -> str:
    """Return a small copy of a photograph as a data URI."""
    rendition = make_rendition(one.path.read_bytes())
    image = open_rendition(rendition)
    image.thumbnail(_THUMBNAIL)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
