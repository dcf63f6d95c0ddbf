"""A labelled set is scored as the worker would, and never by what has learnt from it."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.worker.evaluation.conftest import KnownFolds

from dermtriage_cli.offline_scoring.scoring import score_photographs
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.evaluation.label_tables import LabelsInvalid
from dermtriage_worker.evaluation.labelled import Labelled, read_labelled
from dermtriage_worker.evaluation.scoring import EvaluationRefused, score_labelled
from dermtriage_worker.evaluation.shifts import SHIFTS, UNALTERED

STRANGERS = KnownFolds({})


@pytest.fixture
def photographs(drawn: Path) -> list[Labelled]:
    return read_labelled(drawn / "images", drawn / "truth.csv")


def _ignore(_: int) -> None:
    pass


def test_figures_equal_those_of_score(tiny: Ensemble, photographs: list[Labelled]) -> None:
    counted: list[int] = []
    found = score_labelled(
        tiny, photographs, training_folds=STRANGERS, out_of_fold=False, on_progress=counted.append
    )
    scored = score_photographs([one.path for one in photographs], tiny, batch=3)
    for one, prediction, other in zip(photographs, found, scored, strict=True):
        assert other.image == one.image_id
        assert other.prediction == prediction
    assert sum(counted) == len(photographs)


def test_no_alteration_changes_nothing_and_others_do(
    tiny: Ensemble, photographs: list[Labelled]
) -> None:
    plain, unaltered, blurred = (
        score_labelled(
            tiny,
            photographs[:3],
            training_folds=STRANGERS,
            out_of_fold=False,
            on_progress=_ignore,
            alteration=alteration,
        )
        for alteration in (None, UNALTERED, SHIFTS[0])
    )
    assert plain == unaltered
    assert all(a.p_severe != b.p_severe for a, b in zip(plain, blurred, strict=True))


def test_training_photographs_are_refused(tiny: Ensemble, photographs: list[Labelled]) -> None:
    known = KnownFolds({photographs[4].image_id: 0})
    with pytest.raises(EvaluationRefused, match=r"1 of 14 photographs \(sample-0005\) is of the"):
        score_labelled(
            tiny, photographs, training_folds=known, out_of_fold=False, on_progress=_ignore
        )


def test_out_of_fold_refuses_all_others(folded: Ensemble, photographs: list[Labelled]) -> None:
    known = KnownFolds({one.image_id: 0 for one in photographs[1:]})
    with pytest.raises(EvaluationRefused, match="not of the training set"):
        score_labelled(
            folded,
            photographs,
            training_folds=known,
            out_of_fold=True,
            on_progress=_ignore,
        )


def test_out_of_fold_asks_the_members_that_never_saw(
    folded: Ensemble, photographs: list[Labelled]
) -> None:
    folds = {one.image_id: index % 2 for index, one in enumerate(photographs)}
    found = score_labelled(
        folded, photographs, training_folds=KnownFolds(folds), out_of_fold=True, on_progress=_ignore
    )
    names = [member.name for member in folded.manifest.members]
    strangers = score_labelled(
        folded, photographs, training_folds=STRANGERS, out_of_fold=False, on_progress=_ignore
    )
    for one, own, all_ in zip(photographs, found, strangers, strict=True):
        member = names[folds[one.image_id]]
        assert set(own.member_p_severe) == {member}
        # In the order of the photographs, although fold after fold was scored.
        assert own.member_p_severe[member] == all_.member_p_severe[member]


def test_a_file_that_is_no_photograph_is_named(
    tiny: Ensemble, photographs: list[Labelled], tmp_path: Path
) -> None:
    (tmp_path / "torn.jpg").write_bytes(photographs[0].path.read_bytes()[:900])
    for name in ("torn.jpg", "gone.jpg"):
        torn = replace(photographs[0], path=tmp_path / name)
        with pytest.raises(LabelsInvalid, match=name):
            score_labelled(
                tiny, [torn], training_folds=STRANGERS, out_of_fold=False, on_progress=_ignore
            )
