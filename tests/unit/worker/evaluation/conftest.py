import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage_cli.demo.samples import generate
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest_file import write_manifest
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.evaluation.labelled import Labelled, read_labelled
from dermtriage_worker.evaluation.measure import Measurement, measure

# Tests run beside each other; threads that wait for each other make tiny networks slow.
torch.set_num_threads(1)


class KnownFolds:
    """What a release learnt from, said in a test."""

    def __init__(self, folds: Mapping[str, int]) -> None:
        self._folds = folds

    def fold_of(self, image_id: str) -> int | None:
        return self._folds.get(image_id)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set in ISIC's layout: drawn photographs, two of each class."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "images").mkdir()
    with (folder / "truth.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"])
        for index, sample in enumerate(generate(14, seed=5)):
            (folder / "images" / f"{sample.name}.jpg").write_bytes(sample.jpeg)
            writer.writerow([sample.name, *(float(index % 7 == place) for place in range(7))])
    return folder


@pytest.fixture(scope="session")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    """A release of one kind whose two members are of two folds."""
    folder = tmp_path_factory.mktemp("releases") / "folded"
    manifest = build_tiny_release(folder)
    members = tuple(
        member.model_copy(update={"kind": "tiny", "fold": fold})
        for fold, member in enumerate(manifest.members)
    )
    write_manifest(folder, manifest.model_copy(update={"members": members}))
    return Ensemble.load(folder, "cpu")


@pytest.fixture(scope="session")
def measurement(folded: Ensemble, drawn: Path) -> Measurement:
    """What the folded release says of the drawn photographs, also under all shifts."""
    photographs = read_labelled(drawn / "images", drawn / "truth.csv")
    return measure(
        folded,
        photographs,
        training_folds=KnownFolds(
            {one.image_id: index % 2 for index, one in enumerate(photographs)}
        ),
        out_of_fold=True,
        with_shifts=True,
        sample=7,
        on_progress=lambda step, done, total: None,
    )


def labelled(diagnoses: Sequence[str], **fields: Sequence[object]) -> list[Labelled]:
    """Labels of photographs that nobody opens; `fields` are columns."""
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return [
        Labelled(
            image_id=f"image{index}",
            path=Path(f"image{index}.jpg"),
            diagnosis=diagnosis,
            **{"lesion_id": f"lesion{index}", **(rows[index] if rows else {})},
        )
        for index, diagnosis in enumerate(diagnoses)
    ]


def prediction(
    p_severe: float,
    *,
    best: str | None = None,
    disagreement: float = 0.0,
    out_of_scope: float | None = None,
    members: Mapping[str, float] | None = None,
) -> Prediction:
    """What a release might say; the rest of p_severe goes to the first class of each kind."""
    severe = best if best in SEVERE_CLASSES else SEVERE_CLASSES[0]
    benign = best if best not in {None, *SEVERE_CLASSES} else "nv"
    return Prediction(
        probabilities={
            name: p_severe if name == severe else 1 - p_severe if name == benign else 0.0
            for name in CLASSES
        },
        p_severe=p_severe,
        members={},
        member_p_severe=dict(members or {"only": p_severe}),
        disagreement=disagreement,
        out_of_scope=out_of_scope,
        quality={},
        inputs={},
    )


def plausible(count: int, seed: int = 0) -> tuple[list[Labelled], list[Prediction]]:
    """A set in which higher scores are severe more often; every other lesion has a sibling."""
    generator = np.random.default_rng(seed)
    diagnoses = [CLASSES[index] for index in generator.integers(0, len(CLASSES), count)]
    scores = [
        float(np.clip(generator.normal(0.65 if d in SEVERE_CLASSES else 0.3, 0.18), 0.01, 0.99))
        for d in diagnoses
    ]
    ages = generator.integers(4, 18, count) * 5
    labels = labelled(
        diagnoses,
        lesion_id=[f"lesion{index // 3 * 3 + min(index % 3, 1)}" for index in range(count)],
        diagnosis_type=["histo" if score > 0.3 else "follow_up" for score in scores],
        inputs=[{"age_approx": int(age), "sex": "male" if age % 2 else "female"} for age in ages],
    )
    said = [
        prediction(score, members={"a_0": score, "b_0": float(generator.random())})
        for score in scores
    ]
    return labels, said
