"""A member learns, and resumes after a kill to the same weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.registry import create_network, patient_branch
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.training.config import AugmentConfig, MemberConfig, Phase, TrainConfig
from dermtriage_worker.training.data import Sample, labels, load_frames, read_records
from dermtriage_worker.training.fit import Progress, train_member
from dermtriage_worker.training.train import train


class Killed(Exception):
    """Stands for the process's death."""


def _ignore(progress: Progress) -> None:
    pass


def test_a_network_learns_a_handful_by_heart(data: Path, tmp_path: Path) -> None:
    member = MemberConfig(
        name="eager", architecture="lesionnet_tiny", pretrained=False, batch_size=8,
        average_decay=0.0, weight_decay=0.0,
        phases=(Phase(epochs=25, input_size=32, learning_rate=2e-2),),
    )  # fmt: skip
    nothing = AugmentConfig.model_validate(
        {name: 0 for name in AugmentConfig.model_fields if name.endswith("_share")}
        | {"tone": 0, "channel_gain": 0, "zoom": (1, 1), "shift": 0, "stretch": 0}
    )
    config = TrainConfig(seed=5, folds=2, threads=1, members=(member,), augment=nothing)
    records = read_records(data)
    handful = [next(r for r in records if r.diagnosis == kind) for kind in ("mel", "nv")] * 8
    known = encode([record.inputs for record in handful])
    sample = Sample(load_frames(handful), known, labels(handful))
    watched = Sample(prepare_labelled(handful), known, labels(handful))
    train_member(
        member, config, 0, sample, watched, tmp_path,
        imagenet={}, device=torch.device("cpu"), on_progress=_ignore,
    )  # fmt: skip
    last = json.loads((tmp_path / "curves.jsonl").read_text().splitlines()[-1])
    assert last["loss"] < 0.1
    assert last["validation_auc"] == 1.0


def test_metadata_that_tells_is_learnt_where_photographs_do_not(tmp_path: Path) -> None:
    member = MemberConfig(
        name="m", architecture="lesionnet_tiny", pretrained=False, batch_size=8, average_decay=0.0,
        phases=(Phase(epochs=12, input_size=32, learning_rate=2e-2),),
    )  # fmt: skip
    config = TrainConfig(seed=5, folds=2, threads=1, members=(member,))
    inputs = [{"sex": "female"}, {"sex": "male"}] * 8
    grey = torch.full((16, 3, 150, 200), 128, dtype=torch.uint8)
    same = Sample(grey, encode(inputs), torch.tensor([0, 4] * 8))
    train_member(
        member, config, 0, same, Sample(grey[..., :150], same.patients, same.labels), tmp_path,
        imagenet={}, device=torch.device("cpu"), on_progress=_ignore,
    )  # fmt: skip
    network = create_network("lesionnet_tiny", 7)
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    branch = patient_branch(network)
    assert branch is not None
    women, men = branch(encode(inputs[:2])).detach()
    assert women[0] - women[4] > 0.5
    assert men[4] - men[0] > 0.5


def test_killed_run_goes_on_to_the_same_weights_and_figures(
    data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    def kill_in_the_third_epoch(progress: Progress) -> None:
        if progress.epoch == 3:
            raise Killed

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(data, whole, config, {}, _ignore, only=["small"])
    with pytest.raises(Killed):
        train(data, killed, config, {}, kill_in_the_third_epoch, only=["small"])
    epochs: list[tuple[int, int]] = []
    train(data, killed, config, {}, lambda p: epochs.append((p.fold, p.epoch)), only=["small"])
    assert set(epochs) == {(0, 3), (1, 1), (1, 2), (1, 3)}
    for fold in range(config.folds):
        expected = load_file(whole / f"small_{fold}/weights.safetensors")
        for name, value in load_file(killed / f"small_{fold}/weights.safetensors").items():
            torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-4)
        assert _figures(killed, fold) == pytest.approx(_figures(whole, fold), abs=1e-4)


def _figures(run: Path, fold: int) -> list[float]:
    lines = (run / f"small_{fold}/curves.jsonl").read_text().splitlines()
    return [json.loads(line)["validation_auc"] for line in lines]


def test_the_first_half_of_the_epochs_sees_smaller_squares(data: Path, tmp_path: Path) -> None:
    growing = Phase(epochs=2, first_size=32, input_size=64, learning_rate=5e-3)
    member = MemberConfig(
        name="grown", architecture="lesionnet_tiny", pretrained=False, batch_size=8,
        phases=(growing,),
    )  # fmt: skip
    flat = growing.model_copy(update={"first_size": None, "input_size": 32})
    small = member.model_copy(update={"name": "small", "phases": (flat,)})
    config = TrainConfig(seed=5, folds=2, threads=1, members=(member, small))
    train(data, tmp_path, config, {}, _ignore)
    losses = {
        name: [
            json.loads(line)["loss"]
            for line in (tmp_path / f"{name}_0/curves.jsonl").read_text().splitlines()
        ]
        for name in ("grown", "small")
    }
    assert losses["grown"][0] == pytest.approx(losses["small"][0], rel=1e-4)
    assert losses["grown"][1] != pytest.approx(losses["small"][1], rel=1e-4)


def test_a_phase_starts_from_the_mean_of_the_one_before(data: Path, tmp_path: Path) -> None:
    learning = Phase(epochs=2, input_size=32, learning_rate=5e-3)
    # A step so small that it leaves all weights where they began.
    still = Phase(epochs=1, input_size=32, learning_rate=1e-30)
    one = MemberConfig(
        name="one", architecture="lesionnet_tiny", pretrained=False, batch_size=8,
        average_decay=0.9, weight_decay=0.0, phases=(learning,),
    )  # fmt: skip
    two = one.model_copy(update={"name": "two", "phases": (learning, still)})
    config = TrainConfig(seed=5, folds=2, threads=1, members=(one, two))
    train(data, tmp_path, config, {}, _ignore)
    means = {n: load_file(tmp_path / f"{n}_0/weights.safetensors") for n in ("one", "two")}
    for name in ("stem.0.0.weight", "classifier.weight"):
        assert torch.allclose(means["one"][name], means["two"][name], atol=1e-7)


def test_a_kill_between_two_phases_changes_nothing(data: Path, tmp_path: Path) -> None:
    phases = tuple(
        Phase(epochs=1, input_size=32, learning_rate=rate, severe_weight=weight)
        for rate, weight in ((5e-3, 0.0), (2e-3, 1.0))
    )
    member = MemberConfig(
        name="small", architecture="lesionnet_tiny", pretrained=False, batch_size=8, phases=phases
    )
    config = TrainConfig(seed=5, folds=2, threads=1, members=(member,))

    def die(progress: Progress) -> None:
        if progress.epoch == 2:
            raise Killed

    train(data, tmp_path / "whole", config, {}, _ignore)
    with pytest.raises(Killed):
        train(data, tmp_path / "killed", config, {}, die)
    train(data, tmp_path / "killed", config, {}, _ignore)
    assert _figures(tmp_path / "killed", 0) == _figures(tmp_path / "whole", 0)


def test_severe_against_benign_counts_as_often_as_it_is_told(data: Path, tmp_path: Path) -> None:
    """Of a network that knows nothing the loss is ln 7 more or less, plus that of the two."""
    losses = {}
    for weight in (0.0, 1.0, 2.0):
        phase = Phase(epochs=1, input_size=32, learning_rate=1e-30, severe_weight=weight)
        member = MemberConfig(
            name="small", architecture="lesionnet_tiny", pretrained=False, batch_size=8,
            weight_decay=0.0, phases=(phase,),
        )  # fmt: skip
        config = TrainConfig(seed=5, folds=2, threads=1, members=(member,))
        run = tmp_path / str(weight)
        train(data, run, config, {}, _ignore)
        line = (run / "small_0/curves.jsonl").read_text().splitlines()[0]
        losses[weight] = json.loads(line)["loss"]
    two = losses[1.0] - losses[0.0]
    assert two > 0.1
    assert losses[2.0] - losses[0.0] == pytest.approx(2 * two, rel=1e-5)
