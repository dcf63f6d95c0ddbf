"""Build a release from trained members: choose views, calibrate, set thresholds, measure."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import load_file

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage_worker.ensemble.calibration import severe_probability
from dermtriage_worker.ensemble.device import choose_compute
from dermtriage_worker.ensemble.image.preprocessing import CANONICAL_SIZE
from dermtriage_worker.ensemble.manifest import Calibration, Manifest, Preprocessing, Training
from dermtriage_worker.ensemble.manifest_file import write_manifest
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.ensemble.packing import pack_tensors
from dermtriage_worker.evaluation.figures import severe_mask
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.training.calibrate import kinds_disagreement
from dermtriage_worker.training.cost import gmac
from dermtriage_worker.training.crossfit import crossfit
from dermtriage_worker.training.data import assign_folds, fingerprint, labels, origin, read_records
from dermtriage_worker.training.loss import class_log_prior
from dermtriage_worker.training.ood import OOD_FILE, fit_ood_detector
from dermtriage_worker.training.out_of_fold import (
    choose_views,
    logits_with_and_without_metadata,
    out_of_fold_logits,
)
from dermtriage_worker.training.release_figures import crossfitted_figures, shipped_figures
from dermtriage_worker.training.release_members import calibrated_members, pack_members
from dermtriage_worker.training.run_folder import (
    ReleaseNotBuilt,
    code_commit,
    read_config,
    read_weights,
)
from dermtriage_worker.training.thresholds import choose_thresholds
from dermtriage_worker.training.training_folds import pack_training_folds


def build_release(
    data: Path,
    run: Path,
    folder: Path,
    on_progress: Callable[[str, int, int], None],
) -> Manifest:
    """Build a release from a finished training run.

    Views, calibration and thresholds are fitted on out-of-fold scores: those that each photograph
    gets from the members that were not trained on its lesion.

    Parameters
    ----------
    data
        The folder that was trained on.
    run
        The folder that `train` wrote.
    folder
        Becomes the release; must be empty or absent. Its name becomes the release's name.
    on_progress
        Called with the name of a step, how much of it is done, and how much there is.

    Raises
    ------
    ReleaseNotBuilt
        If the run is not finished, or the folder is not empty.
    TooCostly
        If the members cost more than the budget allows.
    DataMissing
        If the data is missing or incomplete.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseNotBuilt(f"{folder} is not empty.", remedy="Choose another name for it.")
    config = read_config(run)
    weights = {
        (member.name, fold): read_weights(run, member, fold)
        for member in config.members
        for fold in range(config.folds)
    }
    records = read_records(data)
    dataset, licence = origin(data)
    folds = torch.tensor(assign_folds(records, folds=config.folds, seed=config.seed))
    classes = labels(records)
    log_prior = class_log_prior(classes).double()
    positive = torch.from_numpy(severe_mask())[classes]
    patients = encode([record.inputs for record in records])
    squares = prepare_labelled(records)

    folder.mkdir(parents=True, exist_ok=True)
    compute = choose_compute("auto")
    members = pack_members(folder, config, weights)
    networks = [ScoringNetwork(m, load_file(folder / m.file), compute) for m in members]
    without_metadata = out_of_fold_logits(
        networks,
        squares,
        folds,
        compute.pass_size,
        lambda done, whole: on_progress("Scoring out of fold", done, whole),
    )
    # From here on every photograph counts twice: with its metadata, and without.
    all_views = logits_with_and_without_metadata(networks, without_metadata, patients, folds)
    metadata = torch.cat([patients, torch.zeros_like(patients)])
    both_classes, both_positive = classes.repeat(2), positive.repeat(2)
    groups = torch.arange(2).repeat_interleave(len(records))
    choice = choose_views(all_views, metadata, members, both_classes, log_prior)
    logits = {kind: views[: choice.views[kind]].mean(0) for kind, views in all_views.items()}
    crossfitted = crossfit(
        logits, metadata, both_classes, both_positive, groups, folds.repeat(2), log_prior
    )
    thresholds = choose_thresholds(
        severe_probability(choice.fit.probabilities(logits, metadata)).numpy(),
        both_positive.numpy(),
        kinds_disagreement(choice.fit, logits).numpy(),
        groups.numpy(),
    )
    calibrated = calibrated_members(members, choice.fit, choice.views, folds=config.folds)
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
        members=calibrated,
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
            severe=int(positive.sum()),
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
