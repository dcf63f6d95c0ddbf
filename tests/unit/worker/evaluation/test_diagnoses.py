"""The ISIC archive's words for the seven classes."""

from pathlib import Path

import pytest

from dermtriage_worker.evaluation.diagnoses import class_of
from dermtriage_worker.evaluation.label_tables import LabelsInvalid
from dermtriage_worker.evaluation.labelled import read_labelled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Melanoma, NOS", "mel"),
        ("Melanoma in situ, associated with a nevus", "mel"),
        ("Basal cell carcinoma", "bcc"),
        ("Solar or actinic keratosis", "akiec"),
        ("Squamous cell carcinoma in situ, Bowen's disease", "akiec"),
        ("Pigmented benign keratosis", "bkl"),
        ("Lichen planus-like keratosis", "bkl"),
        ("Dermatofibroma", "df"),
        ("Hemangioma", "vasc"),
        ("Nevus", "nv"),
        ("Scar", None),
    ],
)
def test_words_tell_the_class(text: str, expected: str | None) -> None:
    assert class_of({"diagnosis_1": "Benign", "diagnosis_3": text}) == expected


def test_the_finest_diagnosis_counts() -> None:
    row = {"diagnosis_2": "Benign melanocytic proliferations", "diagnosis_3": "Nevus"}
    assert class_of(row) == "nv"


def test_an_archive_is_read_with_what_it_says_of_the_patient(tmp_path: Path) -> None:
    (tmp_path / "ISIC_1.jpg").write_bytes(b"never opened here")
    table = tmp_path / "metadata.csv"
    table.write_text(
        "isic_id,lesion_id,diagnosis_1,diagnosis_3,age_approx,sex,anatom_site_general\n"
        "ISIC_1,IL_9,Malignant,Basal cell carcinoma,65,female,head/neck\n"
    )
    (one,) = read_labelled(tmp_path, table)
    assert (one.diagnosis, one.lesion_id) == ("bcc", "IL_9")
    assert one.inputs == {"age_approx": 65, "sex": "female", "anatom_site": "head/neck"}
    table.write_text("isic_id,diagnosis_1\nISIC_1,Indeterminate\n")
    with pytest.raises(LabelsInvalid, match="ISIC_1"):
        read_labelled(tmp_path, table)
