"""A training run trains every member of every fold, and refuses what does not belong to it."""

import csv
import json
from pathlib import Path

import pytest

from dermtriage_worker.training.checkpoint import TrainingMismatch
from dermtriage_worker.training.config import TrainConfig
from dermtriage_worker.training.data import DataMissing
from dermtriage_worker.training.fit import Progress
from dermtriage_worker.training.train import train


def _ignore(progress: Progress) -> None:
    pass


def test_a_tiny_run_learns_and_reports(data: Path, tmp_path: Path, config: TrainConfig) -> None:
    seen: list[Progress] = []
    train(data, tmp_path, config, {}, seen.append, only=["small"])
    for fold in range(config.folds):
        lines = (tmp_path / f"small_{fold}/curves.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert [row["epoch"] for row in rows] == [1, 2, 3]
        assert rows[-1]["loss"] < rows[0]["loss"]
    last = seen[-1]
    assert (last.fold, last.epoch, last.step) == (config.folds - 1, 3, last.steps)
    assert last.seconds_left == 0
    assert not (tmp_path / "other_0").exists()


def test_folds_are_written_and_keep_siblings_together(
    data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    train(data, tmp_path, config, {}, _ignore, only=[])
    with (tmp_path / "folds.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    homes = {(row["lesion_id"], row["fold"]) for row in rows}
    assert len(homes) == len({row["lesion_id"] for row in rows}) == 48
    assert len(rows) == 64


def test_checkpoint_of_another_configuration_is_refused(
    data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    train(data, tmp_path, config, {}, _ignore, only=["other"])
    changed = config.model_copy(update={"seed": 6})
    with pytest.raises(TrainingMismatch, match="another configuration"):
        train(data, tmp_path, changed, {}, _ignore, only=["other"])


def test_missing_data_is_told(tmp_path: Path, config: TrainConfig) -> None:
    with pytest.raises(DataMissing, match="DERMTRIAGE_DATA"):
        train(tmp_path, tmp_path / "run", config, {}, _ignore)


def test_pretrained_member_needs_weights(data: Path, tmp_path: Path, config: TrainConfig) -> None:
    member = config.members[0].model_copy(update={"pretrained": True})
    pretrained = config.model_copy(update={"members": (member,)})
    # torchvision has no weights for this architecture, so none are fetched.
    with pytest.raises(TrainingMismatch, match="ImageNet"):
        train(data, tmp_path, pretrained, {}, _ignore)
