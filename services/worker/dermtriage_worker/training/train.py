"""One training run: data, split, every member in turn."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from dermtriage_worker.training.config import MemberConfig, TrainConfig
from dermtriage_worker.training.data import (
    Record,
    assign_splits,
    labels,
    load_frames,
    load_squares,
    read_records,
)
from dermtriage_worker.training.fit import Progress, Sample, train_member
from dermtriage_worker.training.splits import Split

CONFIG_NAME = "config.json"
SPLITS_NAME = "splits.csv"


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    imagenet: Path | None,
    on_progress: Callable[[Progress], None],
    *,
    only: Sequence[str] | None = None,
    device: str = "auto",
) -> None:
    """Train all members, or those in `only`, into `out`; begun runs are taken up again.

    `out` receives the configuration, the split of every photograph, and a folder a member with
    checkpoint, curves (JSON lines) and final weights. Members may train in processes of their
    own at the same time, each with its own `only`.

    Parameters
    ----------
    data
        HAM10000's folder: the metadata and `images_200x150`.
    out
        Folder of the run.
    imagenet
        ImageNet weights (safetensors) for members with `pretrained`; None fetches torchvision's.
    on_progress
        Called after every step.
    only
        Names of the members to train.
    device
        `auto`, or a torch device name.

    Raises
    ------
    DataMissing
        If the data is not there or not whole.
    TrainingMismatch
        If `out` holds checkpoints of another configuration, or ImageNet weights do not fit.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    chosen = [member for member in config.members if only is None or member.name in only]
    records = read_records(data)
    splits = assign_splits(
        records,
        heldout_share=config.heldout_share,
        calibration_share=config.calibration_share,
        seed=config.seed,
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG_NAME).write_text(config.model_dump_json(indent=2), encoding="utf-8")
    _write_splits(out / SPLITS_NAME, splits)
    learnt, watched = splits[Split.TRAIN], splits[Split.CALIBRATION]
    training = Sample(load_frames(learnt), labels(learnt))
    validation = Sample(load_squares(watched), labels(watched))
    for member in chosen:
        _train_one(member, config, training, validation, out, imagenet, device, on_progress)


def _train_one(
    member: MemberConfig,
    config: TrainConfig,
    training: Sample,
    validation: Sample,
    out: Path,
    imagenet: Path | None,
    device: str,
    on_progress: Callable[[Progress], None],
) -> None:
    place = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    train_member(
        member,
        config,
        training,
        validation,
        out / member.name,
        imagenet=imagenet,
        device=torch.device(place),
        on_progress=on_progress,
    )


def _write_splits(path: Path, splits: dict[Split, list[Record]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image_id", "lesion_id", "dx", "split"])
        for split, records in splits.items():
            for record in records:
                writer.writerow([record.image_id, record.lesion_id, record.diagnosis, split.value])
