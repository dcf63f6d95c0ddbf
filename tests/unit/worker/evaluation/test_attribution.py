"""Heat maps are measured against masks, each photograph by members that were not trained on it."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from dermtriage_worker.ensemble.attribution import heat_maps
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.evaluation.attribution import measure_explanations
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.masked_photographs import MASK_FOLDER, MasksMissing

CENTRED, ASIDE = (80, 55, 120, 95), (30, 10, 70, 50)


class Learnt:
    """Training folds in which no photograph is, or each in the same."""

    def __init__(self, fold: int | None) -> None:
        self.fold = fold

    def fold_of(self, image_id: str) -> int | None:
        return self.fold


@pytest.fixture
def labelled(tmp_path: Path) -> list[Labelled]:
    (tmp_path / MASK_FOLDER).mkdir()
    records = []
    for index, place in enumerate([CENTRED, ASIDE, CENTRED, ASIDE, CENTRED]):
        image = Image.new("RGB", (200, 150), (210, 170, 150))
        ImageDraw.Draw(image).ellipse(place, fill=(90, 60, 50))
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).ellipse(place, fill=255)
        path = tmp_path / f"P{index}.png"
        image.save(path)
        mask.save(tmp_path / MASK_FOLDER / f"P{index}_segmentation.png")
        records.append(Labelled(path.stem, path, "mel", path.stem))
    return records


def test_peaks_and_energy_are_measured(
    tiny: Ensemble, labelled: list[Labelled], tmp_path: Path
) -> None:
    done: list[int] = []
    figures = measure_explanations(
        tiny, labelled, tmp_path, training_folds=Learnt(None), sample=4, on_progress=done.append
    )
    assert figures.off_centre.photographs == 2
    assert figures.any.photographs == 4
    assert sum(done) == 6
    # Nothing else differs from the skin, so that every map must point there.
    assert figures.off_centre.heat_map.peaks_inside == 1
    assert figures.off_centre.heat_map.energy_inside > 0.5 > figures.off_centre.disc_inside
    assert figures.off_centre.contrast.energy_inside > 0.9


def test_a_map_that_looks_aside_is_found_out(
    tiny: Ensemble, labelled: list[Labelled], tmp_path: Path
) -> None:
    def aside(_: Ensemble, squares: torch.Tensor) -> torch.Tensor:
        maps = torch.zeros(len(squares), 150, 150)
        maps[:, 140:, 140:] = 1
        return maps

    figures = measure_explanations(
        tiny, labelled, tmp_path, training_folds=Learnt(None), sample=9, explain=aside
    )
    for sample in (figures.off_centre, figures.any):
        assert sample.heat_map.peaks_inside == 0
        assert sample.heat_map.energy_inside == 0
        assert sample.contrast.peaks_inside == 1


def test_members_that_were_trained_on_a_lesion_do_not_explain_it(
    folded: Ensemble, labelled: list[Labelled], tmp_path: Path
) -> None:
    folds: list[int | None] = []

    def noted(ensemble: Ensemble, squares: torch.Tensor) -> torch.Tensor:
        folds.extend(member.fold for member in ensemble.manifest.members)
        return heat_maps(ensemble, squares)

    figures = measure_explanations(
        folded, labelled, tmp_path, training_folds=Learnt(1), sample=2, explain=noted
    )
    assert figures.out_of_fold == 4
    assert set(folds) == {1}


def test_without_masks_there_is_nothing_to_measure(
    tiny: Ensemble, labelled: list[Labelled], tmp_path: Path
) -> None:
    with pytest.raises(MasksMissing):
        measure_explanations(tiny, labelled, tmp_path / "no", training_folds=Learnt(None), sample=2)
