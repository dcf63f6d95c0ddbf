"""Write the model card: what a release is for, its figures, and what is not known about it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from dermtriage.core.enums import SEVERE_CLASSES
from dermtriage.core.errors import DermtriageError
from dermtriage_worker.ensemble.manifest import Manifest, Member
from dermtriage_worker.evaluation.explanation_figures import ExplanationFigures
from dermtriage_worker.evaluation.formats import CLASS_NAMES, template
from dermtriage_worker.evaluation.report import FIGURES_NAME, PLOTS_NAME, Report

PLOTS_FOLDER = "model-card"
"""Beside the document, which names it."""

_Measured = TypeVar("_Measured", Report, ExplanationFigures)


class CardRefused(DermtriageError):
    """The measurements for the card are missing, or of another release."""

    code = "card_refused"


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    architecture: str
    members: int
    input_size: int
    views: int
    weight: float


def write_model_card(out: Path, manifest: Manifest, report: Path, explanations: Path) -> None:
    """Write the model card of a release as Markdown, and its plots into a folder beside it.

    Parameters
    ----------
    out
        The document; an earlier one is replaced, with its plots.
    manifest
        Of the release.
    report
        Folder with the output of `write_report`.
    explanations
        JSON file of an `ExplanationFigures`.

    Raises
    ------
    CardRefused
        If the measurements are of another release, not readable, or not there.
    """
    measured = _read(Report, report / FIGURES_NAME, "dermtriage evaluate --report")
    maps = _read(ExplanationFigures, explanations, "dermtriage evaluate-explanations --json")
    for release, path in ((measured.release, report), (maps.release, explanations)):
        if release != manifest.name:
            raise CardRefused(
                f"{path} is of release {release}, and the card of release {manifest.name}.",
                remedy="Measure the release that the card is of.",
            )
    drawn = sorted((report / PLOTS_NAME).glob("*.svg"))
    text = template("model-card.md.j2").render(
        manifest=manifest,
        report=measured,
        evaluation=measured.evaluation,
        explanations=maps,
        kinds=_kinds(manifest.members),
        plots={path.stem for path in drawn},
        class_names=CLASS_NAMES,
        severe_classes=SEVERE_CLASSES,
    )
    folder = out.parent / PLOTS_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in drawn:
        shutil.copy(path, folder)
    out.write_text(text, encoding="utf-8")


def _read(model: type[_Measured], path: Path, command: str) -> _Measured:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CardRefused(
            f"{path} cannot be read ({error.strerror}).", remedy=f"{command} writes it."
        ) from error
    except ValidationError as error:
        raise CardRefused(
            f"{path} does not hold what the card needs.", remedy=f"{command} writes it anew."
        ) from error


def _kinds(members: Sequence[Member]) -> list[_Kind]:
    kinds = []
    for name in dict.fromkeys(member.kind for member in members):
        own = [member for member in members if member.kind == name]
        first = own[0]
        kinds.append(
            _Kind(
                name=name,
                architecture=first.architecture,
                members=len(own),
                input_size=first.input_size,
                views=first.views,
                weight=sum(member.weight for member in own),
            )
        )
    return kinds
