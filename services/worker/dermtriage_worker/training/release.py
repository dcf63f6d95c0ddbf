"""Make a release of trained members: choose views, calibrate, set thresholds, measure."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage_worker.ensemble.calibration import severe_probability
from dermtriage_worker.ensemble.device import choose_compute
from dermtriage_worker.ensemble.image.preprocessing import CANONICAL_SIZE
from dermtriage_worker.ensemble.manifest import (
    Calibration,
    Manifest,
    Member,
    Preprocessing,
    Training,
    write_manifest,
)
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.ensemble.packing import pack_member, pack_tensors
from dermtriage_worker.evaluation.figures import severe_mask
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.training.calibrate import Fit, choose_thresholds, kinds_disagreement
from dermtriage_worker.training.config import MemberConfig
from dermtriage_worker.training.cost import gmac
from dermtriage_worker.training.crossfit import crossfit
from dermtriage_worker.training.data import assign_folds, fingerprint, labels, origin, read_records
from dermtriage_worker.training.loss import class_log_prior
from dermtriage_worker.training.ood import OOD_FILE, fit_ood_detector
from dermtriage_worker.training.out_of_fold import (
    choose_views,
    out_of_fold_logits,
    with_and_without,
)
from dermtriage_worker.training.pretrained import IMAGENET_MEAN, IMAGENET_STD
from dermtriage_worker.training.release_figures import crossfitted_figures, shipped_figures
from dermtriage_worker.training.run_folder import (
    ReleaseNotBuilt,
    code_commit,
    read_config,
    read_weights,
)
from dermtriage_worker.training.train import member_name
from dermtriage_worker.training.training_folds import pack_training_folds


def build_release(
    data: Path,
    run: Path,
    folder: Path,
    on_progress: Callable[[str, int, int], None],
) -> Manifest:
    """Build a release from a finished training run.

    Views, calibration and thresholds are set on out-of-fold scores: what each photograph gets
    from the members that never saw its lesion.

    Parameters
    ----------
    data
        The folder that was trained on.
    run
        The folder that `train` wrote.
    folder
        Becomes the release; must be empty or absent. Its name becomes the release's name.
    on_progress
        Called with a step in words, how much of it is done, and how much there is.

    Raises
    ------
    ReleaseNotBuilt
        If the run is not finished, or the folder is not empty.
    TooCostly
        If the members cost more than the budget allows.
    DataMissing
        If the data is not there or not whole.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseNotBuilt(f"{folder} is not empty.", remedy="Choose another name for it.")
    config = read_config(run)
    states = {
        (member.name, fold): read_weights(run, member, fold)
        for member in config.members
        for fold in range(config.folds)
    }
    records = read_records(data)
    dataset, licence = origin(data)
    folds = torch.tensor(assign_folds(records, folds=config.folds, seed=config.seed))
    truth = labels(records)
    log_prior = class_log_prior(truth).double()
    severe = torch.from_numpy(severe_mask())[truth]
    patients = encode([record.inputs for record in records])
    squares = prepare_labelled(records)

    folder.mkdir(parents=True, exist_ok=True)
    compute = choose_compute("auto")
    members = [
        _pack(folder, member, fold, states[member.name, fold])
        for member in config.members
        for fold in range(config.folds)
    ]
    networks = [ScoringNetwork(m, load_file(folder / m.file), compute) for m in members]
    photographs = out_of_fold_logits(
        networks,
        squares,
        folds,
        compute.pass_size,
        lambda done, whole: on_progress("Scoring out of fold", done, whole),
    )
    # From here on every photograph counts twice: with what is known of its patient, and alone.
    all_views = with_and_without(networks, photographs, patients, folds)
    twice, twice_severe = truth.repeat(2), severe.repeat(2)
    known = torch.cat([patients, torch.zeros_like(patients)])
    ways = torch.arange(2).repeat_interleave(len(records))
    choice = choose_views(all_views, known, members, twice, log_prior)
    logits = {kind: views[: choice.views[kind]].mean(0) for kind, views in all_views.items()}
    crossfitted = crossfit(logits, known, twice, twice_severe, ways, folds.repeat(2), log_prior)
    thresholds = choose_thresholds(
        severe_probability(choice.fit.probabilities(logits, known)).numpy(),
        twice_severe.numpy(),
        kinds_disagreement(choice.fit, logits).numpy(),
        ways.numpy(),
    )
    calibrated = [_calibrated(m, choice.fit, choice.views[m.kind], config.folds) for m in members]
    fitted = fit_ood_detector(
        list(zip(members, networks, strict=True)),
        records,
        folds.tolist(),
        data=data,
        seed=config.seed,
        on_progress=lambda step: on_progress(step, 0, 1),
    )
    ood = None
    if fitted is not None:
        tensors, threshold = fitted
        ood = pack_tensors(folder, OOD_FILE, tensors)
        thresholds = thresholds.model_copy(update={"out_of_scope": threshold})
    manifest = Manifest(
        name=folder.name,
        created=datetime.now(UTC).replace(microsecond=0),
        classes=CLASSES,
        severe_classes=SEVERE_CLASSES,
        preprocessing=Preprocessing(size=CANONICAL_SIZE),
        members=tuple(calibrated),
        calibration=Calibration(
            temperature=choice.fit.temperature,
            patient=tuple(tuple(row) for row in choice.fit.patient.tolist()),
        ),
        ood=ood,
        thresholds=thresholds,
        gmac=round(sum(m.views * gmac(m.architecture, m.input_size) for m in calibrated), 3),
        figures={},
        training=Training(
            dataset=dataset,
            data_sha256=fingerprint(records),
            seed=config.seed,
            folds=config.folds,
            photographs=len(records),
            lesions=len({record.lesion_id for record in records}),
            severe=int(severe.sum()),
            classes=dict(Counter(record.diagnosis for record in records)),
            epochs={member.name: member.epochs for member in config.members},
            commit=code_commit(),
            image_folds=pack_training_folds(
                folder, [record.image_id for record in records], folds.tolist()
            ),
        ),
        licence=licence,
    )
    write_manifest(folder, manifest)
    manifest = manifest.model_copy(
        update={
            "figures": shipped_figures(folder, manifest, records, on_progress)
            | crossfitted_figures(crossfitted, records)
        }
    )
    write_manifest(folder, manifest)
    return manifest


def _pack(folder: Path, config: MemberConfig, fold: int, state: Mapping[str, Tensor]) -> Member:
    name = member_name(config.name, fold)
    file = f"{name}.safetensors"
    return Member(
        name=name,
        kind=config.name,
        fold=fold,
        architecture=config.architecture,
        file=file,
        sha256=pack_member(folder, file, state).sha256,
        input_size=config.input_size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        views=1,
        weight=0,
        temperature=1,
        bias=(0.0,) * len(CLASSES),
    )


def _calibrated(member: Member, fit: Fit, views: int, folds: int) -> Member:
    return member.model_copy(
        update={
            "views": views,
            "weight": fit.weights[member.kind] / folds,
            "temperature": fit.temperatures[member.kind],
            "bias": tuple(fit.biases[member.kind]),
        }
    )
