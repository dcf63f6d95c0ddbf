"""The members of a new release: their packed weights and their entries in the manifest."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.packing import pack_member
from dermtriage_worker.training.calibrate import FittedCalibration
from dermtriage_worker.training.config import MemberConfig, TrainConfig
from dermtriage_worker.training.pretrained import IMAGENET_MEAN, IMAGENET_STD
from dermtriage_worker.training.train import member_name


def pack_members(
    folder: Path, config: TrainConfig, weights: Mapping[tuple[str, int], Mapping[str, Tensor]]
) -> list[Member]:
    """Write the weights of all members into a release's folder.

    Parameters
    ----------
    weights
        Of each member, by the name of its kind and its fold.

    Returns
    -------
    list
        Their entries, which are not calibrated yet, in the order of the configuration.
    """
    return [
        _pack(folder, member, fold, weights[member.name, fold])
        for member in config.members
        for fold in range(config.folds)
    ]


def calibrated_members(
    members: list[Member], fit: FittedCalibration, views: Mapping[str, int], *, folds: int
) -> tuple[Member, ...]:
    """Return the entries with calibration, views and weight; the folds of a kind share its weight.

    Parameters
    ----------
    views
        Number of views by kind.
    """
    return tuple(
        member.model_copy(
            update={
                "views": views[member.kind],
                "weight": fit.weights[member.kind] / folds,
                "temperature": fit.temperatures[member.kind],
                "bias": tuple(fit.biases[member.kind]),
            }
        )
        for member in members
    )


def _pack(folder: Path, config: MemberConfig, fold: int, weights: Mapping[str, Tensor]) -> Member:
    name = member_name(config.name, fold)
    file = f"{name}.safetensors"
    return Member(
        name=name,
        kind=config.name,
        fold=fold,
        architecture=config.architecture,
        file=file,
        sha256=pack_member(folder, file, weights).sha256,
        input_size=config.input_size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        views=1,
        weight=0,
        temperature=1,
        bias=(0.0,) * len(CLASSES),
    )
