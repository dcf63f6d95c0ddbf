"""Training learns, resumes after a kill to the same weights, and refuses another's checkpoint."""

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dermtriage_worker.training.checkpoint import TrainingMismatch
from dermtriage_worker.training.config import TrainConfig
from dermtriage_worker.training.data import DataMissing
from dermtriage_worker.training.fit import Progress, load_pretrained
from dermtriage_worker.training.train import train


class Killed(Exception):
    """Stands for the process's death."""


def _ignore(progress: Progress) -> None:
    pass


def test_a_tiny_run_learns_and_reports(data: Path, tmp_path: Path, config: TrainConfig) -> None:
    seen: list[Progress] = []
    train(data, tmp_path, config, None, seen.append, only=["small"])
    rows = [json.loads(line) for line in (tmp_path / "small/curves.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert (seen[-1].epoch, seen[-1].step) == (3, seen[-1].steps)
    assert seen[-1].seconds_left == 0
    assert not (tmp_path / "other").exists()


def test_split_is_written_and_keeps_siblings_together(
    data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    train(data, tmp_path, config, None, _ignore, only=[])
    with (tmp_path / "splits.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    homes = {(row["lesion_id"], row["split"]) for row in rows}
    assert len(homes) == len({row["lesion_id"] for row in rows}) == 48
    assert len(rows) == 64


def test_killed_run_goes_on_to_the_same_weights(
    data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    def kill_in_the_third_epoch(progress: Progress) -> None:
        if progress.epoch == 3:
            raise Killed

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(data, whole, config, None, _ignore, only=["small"])
    with pytest.raises(Killed):
        train(data, killed, config, None, kill_in_the_third_epoch, only=["small"])
    epochs: list[int] = []
    train(data, killed, config, None, lambda p: epochs.append(p.epoch), only=["small"])
    assert set(epochs) == {3}
    expected = load_file(whole / "small/weights.safetensors")
    for name, value in load_file(killed / "small/weights.safetensors").items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-4)


def test_checkpoint_of_another_configuration_is_refused(
    data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    train(data, tmp_path, config, None, _ignore, only=["other"])
    changed = config.model_copy(update={"seed": 6})
    with pytest.raises(TrainingMismatch, match="another configuration"):
        train(data, tmp_path, changed, None, _ignore, only=["other"])


def test_missing_data_is_told(tmp_path: Path, config: TrainConfig) -> None:
    with pytest.raises(DataMissing, match="DERMTRIAGE_DATA"):
        train(tmp_path, tmp_path / "run", config, None, _ignore)


def test_pretrained_member_needs_weights(data: Path, tmp_path: Path, config: TrainConfig) -> None:
    member = config.members[0].model_copy(update={"pretrained": True})
    pretrained = config.model_copy(update={"members": (member,)})
    # torchvision has no weights for this architecture, so none are fetched.
    with pytest.raises(TrainingMismatch, match="ImageNet"):
        train(data, tmp_path, pretrained, None, _ignore)


def test_pretrained_weights_fill_all_but_the_classifier() -> None:
    def network(classes: int) -> nn.Module:
        return _Classified(nn.Linear(4, 4), nn.Linear(4, classes))

    given, taking = network(1000), network(7)
    load_pretrained(taking, given.state_dict())
    assert torch.equal(taking.state_dict()["body.weight"], given.state_dict()["body.weight"])
    with pytest.raises(TrainingMismatch, match=r"body\.weight"):
        load_pretrained(network(7), {"other": torch.zeros(1)})


class _Classified(nn.Module):
    def __init__(self, body: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.classifier = classifier


def test_default_configuration_is_that_of_the_first_release() -> None:
    default = TrainConfig.default()
    assert [member.architecture for member in default.members] == ["mobilenet_v2", "lesionnet"]
    assert [member.pretrained for member in default.members] == [True, False]


def test_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text('seed = 1\nlearning = "fast"\nmembers = []\n')
    with pytest.raises(ValueError, match="learning"):
        TrainConfig.read(path)
