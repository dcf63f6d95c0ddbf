"""A training run: every member of every fold in turn."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.training.config import TrainConfig
from dermtriage_worker.training.data import Sample, assign_folds, labels, load_frames, read_records
from dermtriage_worker.training.fit import Progress, train_member

CONFIG_NAME = "config.json"
FOLDS_NAME = "folds.csv"


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    imagenet: Mapping[str, Path],
    on_progress: Callable[[Progress], None],
    *,
    only: Sequence[str] | None = None,
    device: str = "auto",
) -> None:
    """Train every member of every fold; one that was interrupted resumes, a finished one stays.

    A member of a fold is trained on the lesions of the other folds only. `out` receives the
    configuration, the fold of every photograph, and a folder for each member and fold with
    checkpoint, curves (JSON lines) and final weights. Members may train in processes of their
    own at the same time, each with its own `only`.

    Parameters
    ----------
    data
        HAM10000's folder: the metadata and `images_200x150`.
    out
        Folder of the run.
    imagenet
        ImageNet weights (safetensors) by architecture, for members with `pretrained`; see
        `imagenet_weights`.
    on_progress
        Called after every step.
    only
        Names of the members to train.
    device
        `auto`, or a torch device name.

    Raises
    ------
    DataMissing
        If the data is missing or incomplete.
    TrainingMismatch
        If `out` holds checkpoints of another configuration, or ImageNet weights do not fit.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    chosen = [member for member in config.members if only is None or member.name in only]
    place = torch.device(
        device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    records = read_records(data)
    folds = assign_folds(records, folds=config.folds, seed=config.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG_NAME).write_text(config.model_dump_json(indent=2), encoding="utf-8")
    _write_folds(out / FOLDS_NAME, records, folds)

    frames, squares, classes = load_frames(records), prepare_labelled(records), labels(records)
    patients = encode([record.inputs for record in records])
    of_fold = torch.tensor(folds)
    for fold in range(config.folds):
        own, others = of_fold == fold, of_fold != fold
        training = Sample(frames[others], patients[others], classes[others])
        validation = Sample(squares[own], patients[own], classes[own])
        for member in chosen:
            train_member(
                member,
                config,
                fold,
                training,
                validation,
                out / member_name(member.name, fold),
                imagenet=imagenet,
                device=place,
                on_progress=on_progress,
            )


def member_name(kind: str, fold: int) -> str:
    """Return the name of one fold's member, in a run and in a release."""
    return f"{kind}_{fold}"


def _write_folds(path: Path, records: Sequence[Labelled], folds: Sequence[int]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image_id", "lesion_id", "dx", "fold"])
        for record, fold in zip(records, folds, strict=True):
            writer.writerow([record.image_id, record.lesion_id, record.diagnosis, fold])
