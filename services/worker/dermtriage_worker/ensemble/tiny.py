"""A complete release with tiny random networks, for tests and demonstrations."""

from datetime import UTC, datetime
from pathlib import Path

import torch

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage_worker.ensemble.image.preprocessing import CANONICAL_SIZE
from dermtriage_worker.ensemble.manifest import (
    Calibration,
    Manifest,
    Member,
    Preprocessing,
    Thresholds,
    Training,
)
from dermtriage_worker.ensemble.manifest_file import write_manifest
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.packing import pack_member

_ARCHITECTURE = "lesionnet_tiny"


def build_tiny_release(folder: Path, seed: int = 0) -> Manifest:
    """Build a release of two untrained networks; it is determined by the seed.

    Its scores mean nothing. It is loaded, verified and run like any other release.

    Parameters
    ----------
    folder
        Becomes the release's folder; its name becomes the release's name.
    seed
        Of the random weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    members = []
    kinds = (("tiny_a", 8), ("tiny_b", 4))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, views in kinds:
            state = create_network(_ARCHITECTURE, len(CLASSES)).state_dict()
            members.append(
                Member(
                    name=name,
                    kind=name,
                    fold=None,
                    architecture=_ARCHITECTURE,
                    file=f"{name}.safetensors",
                    sha256=pack_member(folder, f"{name}.safetensors", state).sha256,
                    input_size=64,
                    mean=(0.5, 0.5, 0.5),
                    std=(0.25, 0.25, 0.25),
                    views=views,
                    weight=0.5,
                    temperature=1.0,
                    bias=(0.0,) * len(CLASSES),
                )
            )
    manifest = Manifest(
        name=folder.name,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        classes=CLASSES,
        severe_classes=SEVERE_CLASSES,
        preprocessing=Preprocessing(size=CANONICAL_SIZE),
        members=tuple(members),
        calibration=Calibration(temperature=1.0),
        thresholds=Thresholds(lower=0.3, upper=0.6, disagreement=0.5),
        gmac=0.01,
        figures={},
        training=Training(
            dataset="none: random weights",
            data_sha256="0" * 64,
            seed=seed,
            folds=0,
            photographs=0,
            lesions=0,
            severe=0,
            classes={},
            epochs={},
            commit="",
        ),
        licence="Apache-2.0",
    )
    write_manifest(folder, manifest)
    return manifest
