"""Make a release of trained members: choose views, calibrate, set thresholds, measure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from dermtriage.errors import DermtriageError
from dermtriage.states import CLASSES, SEVERE_CLASSES
from dermtriage_worker.ensemble.calibration import (
    calibrated,
    member_log_probabilities,
    severe_probability,
)
from dermtriage_worker.ensemble.device import Compute, choose_compute
from dermtriage_worker.ensemble.ensemble import Ensemble
from dermtriage_worker.ensemble.manifest import (
    Calibration,
    Manifest,
    Member,
    Preprocessing,
    Training,
    write_manifest,
)
from dermtriage_worker.ensemble.network import Network
from dermtriage_worker.ensemble.packing import pack_member
from dermtriage_worker.ensemble.preprocessing import CANONICAL_SIZE
from dermtriage_worker.training.calibrate import (
    choose_thresholds,
    ensemble_log_loss,
    fit_combination,
    fit_member,
)
from dermtriage_worker.training.config import MemberConfig, TrainConfig
from dermtriage_worker.training.cost import gmac
from dermtriage_worker.training.data import (
    Record,
    assign_splits,
    fingerprint,
    labels,
    load_squares,
    read_records,
)
from dermtriage_worker.training.evaluate import heldout_figures, predict_all
from dermtriage_worker.training.figures import severe_mask
from dermtriage_worker.training.fit import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    WEIGHTS_NAME,
    class_log_prior,
)
from dermtriage_worker.training.splits import Split
from dermtriage_worker.training.train import CONFIG_NAME

MAX_GMAC = 3.0
LICENCE = (
    "Weights derived from HAM10000 (Tschandl, Rosendahl, Kittler 2018, doi:10.7910/DVN/DBW86T), "
    "CC BY-NC 4.0: not for commercial use."
)


class ReleaseNotBuilt(DermtriageError):
    """A release cannot be made of what is there."""

    code = "release_not_built"


def build_release(
    data: Path,
    run: Path,
    folder: Path,
    on_progress: Callable[[str], None],
) -> Manifest:
    """Build a release from a finished training run.

    Views, temperatures, weights and thresholds are set on the calibration lesions; the figures
    in the manifest are of the held-out lesions and of the halved weights that are shipped,
    scored by the code that serves them.

    Parameters
    ----------
    data
        HAM10000's folder, as in training.
    run
        The folder that `train` wrote.
    folder
        Becomes the release; must be empty or absent. Its name becomes the release's name.
    on_progress
        Called with a sentence at each step.

    Raises
    ------
    ReleaseNotBuilt
        If the run is not finished, the folder is not empty, or the budget is exceeded.
    DataMissing
        If the data is not there or not whole.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseNotBuilt(f"{folder} is not empty.", remedy="Choose another name for it.")
    config = _read_config(run)
    states = {member.name: _read_weights(run, member) for member in config.members}
    records = read_records(data)
    splits = assign_splits(
        records,
        heldout_share=config.heldout_share,
        calibration_share=config.calibration_share,
        seed=config.seed,
    )
    log_prior = class_log_prior(labels(splits[Split.TRAIN])).double()
    truth = labels(splits[Split.CALIBRATION])

    folder.mkdir(parents=True, exist_ok=True)
    drafts = [_pack(folder, member, states[member.name]) for member in config.members]
    compute = choose_compute("auto")
    squares = load_squares(splits[Split.CALIBRATION])
    on_progress(f"Scoring {len(squares)} calibration photographs with 4 and 8 views.")
    members, logits = _choose_views(drafts, folder, squares, truth, log_prior, compute)

    on_progress("Calibrating.")
    fits = [fit_member(values, truth, log_prior) for values in logits]
    logs = [
        member_log_probabilities(values.double(), *fit)
        for values, fit in zip(logits, fits, strict=True)
    ]
    weights, temperature = fit_combination(logs, truth)
    members = [
        member.model_copy(update={"temperature": fit[0], "bias": tuple(fit[1]), "weight": weight})
        for member, fit, weight in zip(members, fits, weights, strict=True)
    ]
    calibration = Calibration(temperature=temperature)
    probabilities, own = calibrated([v.double() for v in logits], members, calibration)
    severities = torch.stack([severe_probability(values) for values in own])
    thresholds = choose_thresholds(
        severe_probability(probabilities).numpy(),
        severe_mask()[truth.numpy()],
        (severities.amax(0) - severities.amin(0)).numpy(),
    )

    manifest = Manifest(
        name=folder.name,
        created=datetime.now(UTC).replace(microsecond=0),
        classes=CLASSES,
        severe_classes=SEVERE_CLASSES,
        preprocessing=Preprocessing(size=CANONICAL_SIZE),
        members=tuple(members),
        calibration=calibration,
        thresholds=thresholds,
        gmac=round(_cost(members), 3),
        figures={},
        training=Training(
            dataset="HAM10000, images_200x150",
            data_sha256=fingerprint(records),
            seed=config.seed,
            photographs={split.value: len(part) for split, part in splits.items()},
            lesions={split.value: len({r.lesion_id for r in p}) for split, p in splits.items()},
            severe={split.value: _severe(part) for split, part in splits.items()},
            epochs={member.name: member.epochs for member in config.members},
        ),
        licence=LICENCE,
    )
    write_manifest(folder, manifest)
    heldout = splits[Split.HELDOUT]
    on_progress(f"Measuring on {len(heldout)} held-out photographs.")
    predictions = predict_all(Ensemble.load(folder), load_squares(heldout))
    figures = heldout_figures(predictions, heldout, thresholds, log_prior, seed=config.seed)
    manifest = manifest.model_copy(update={"figures": figures})
    write_manifest(folder, manifest)
    return manifest


def _read_config(run: Path) -> TrainConfig:
    try:
        text = (run / CONFIG_NAME).read_text(encoding="utf-8")
    except OSError as error:
        raise ReleaseNotBuilt(
            f"{run} holds no training run.", remedy="Run `dermtriage train` first."
        ) from error
    return TrainConfig.model_validate_json(text)


def _read_weights(run: Path, member: MemberConfig) -> dict[str, Tensor]:
    path = run / member.name / WEIGHTS_NAME
    if not path.is_file():
        raise ReleaseNotBuilt(
            f"Member {member.name} is not trained to its end.",
            remedy="Run `dermtriage train` again: it goes on from its last checkpoint.",
        )
    return load_file(path)


def _pack(folder: Path, config: MemberConfig, state: Mapping[str, Tensor]) -> Member:
    file = f"{config.name}.safetensors"
    return Member(
        name=config.name,
        architecture=config.architecture,
        file=file,
        sha256=pack_member(folder, file, state),
        input_size=config.input_size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        views=1,
        weight=0,
        temperature=1,
        bias=(0.0,) * len(CLASSES),
    )


def _choose_views(
    drafts: Sequence[Member],
    folder: Path,
    squares: Tensor,
    truth: Tensor,
    log_prior: Tensor,
    compute: Compute,
) -> tuple[list[Member], list[Tensor]]:
    """Take the affordable views with the least log loss; return members and their logits."""
    options = [[draft.model_copy(update={"views": views}) for views in (4, 8)] for draft in drafts]
    logits = {
        (member.name, member.views): _member_logits(member, folder, squares, compute)
        for choices in options
        for member in choices
    }
    best: tuple[float, list[Member], list[Tensor]] | None = None
    for chosen in product(*options):
        if _cost(chosen) > MAX_GMAC:
            continue
        values = [logits[member.name, member.views] for member in chosen]
        loss = ensemble_log_loss(values, truth, log_prior)
        if best is None or loss < best[0]:
            best = (loss, list(chosen), values)
    if best is None:
        raise ReleaseNotBuilt(
            f"With 4 views a member, a photograph costs more than {MAX_GMAC} GMAC.",
            remedy="Train fewer or smaller members.",
        )
    return best[1], best[2]


@torch.inference_mode()
def _member_logits(member: Member, folder: Path, squares: Tensor, compute: Compute) -> Tensor:
    network = Network(member, load_file(folder / member.file), compute)
    chunks = torch.split(squares, compute.chunk)
    return torch.cat([network(chunk.to(compute.device)).cpu() for chunk in chunks])


def _cost(members: Sequence[Member]) -> float:
    return sum(m.views * gmac(m.architecture, m.input_size) for m in members)


def _severe(records: Sequence[Record]) -> int:
    return int(np.sum(severe_mask()[labels(records).numpy()]))
