"""The configuration of a training run is read strictly."""

from pathlib import Path

import pytest

from dermtriage_worker.training.config import TrainConfig


def test_default_configuration_has_both_kinds_of_members() -> None:
    default = TrainConfig.default()
    assert {member.pretrained for member in default.members} == {True, False}
    assert len(default.members) * default.folds >= 6


def test_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text('seed = 1\nlearning = "fast"\nmembers = []\n')
    with pytest.raises(ValueError, match="learning"):
        TrainConfig.read(path)
