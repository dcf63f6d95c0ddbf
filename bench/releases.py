"""The releases that are measured: the shipped one, a reference member, and twins of both."""

import shutil
from pathlib import Path

import torch

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.manifest import Manifest, Member, Preprocessing
from dermtriage_worker.ensemble.manifest_file import read_manifest, write_manifest
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.packing import pack_member
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.training.cost import gmac
from dermtriage_worker.training.pretrained import IMAGENET_MEAN, IMAGENET_STD

REFERENCE = "reference"
_ARCHITECTURE = "mobilenet_v2"
_SIDE = 224


def add_twin(releases: Path, name: str, addition: str) -> str:
    """Copy a release under another name, for which everything has to be scored again."""
    twin = f"{name}-{addition}"
    shutil.copytree(releases / name, releases / twin)
    manifest = read_manifest(releases / twin)
    write_manifest(releases / twin, manifest.model_copy(update={"name": twin}))
    return twin


def add_reference(releases: Path) -> str:
    """Build a release of one MobileNetV2 at 224 pixels, one view; its weights are random.

    Every ratio to the forward limit looks better with a slower ensemble. This member stays the
    same whatever is shipped.
    """
    folder = releases / REFERENCE
    manifest = build_tiny_release(folder)
    for tiny in manifest.members:
        (folder / tiny.file).unlink()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = create_network(_ARCHITECTURE, len(CLASSES)).state_dict()
    file = f"{_ARCHITECTURE}.safetensors"
    member = Member(
        name=_ARCHITECTURE,
        kind=_ARCHITECTURE,
        fold=None,
        architecture=_ARCHITECTURE,
        file=file,
        sha256=pack_member(folder, file, state).sha256,
        input_size=_SIDE,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        views=1,
        weight=1.0,
        temperature=1.0,
        bias=(0.0,) * len(CLASSES),
    )
    changes = {
        "members": (member,),
        "preprocessing": Preprocessing(size=_SIDE),
        "gmac": gmac(_ARCHITECTURE, _SIDE),
    }
    write_manifest(
        folder, Manifest.model_validate(manifest.model_copy(update=changes).model_dump())
    )
    return REFERENCE
