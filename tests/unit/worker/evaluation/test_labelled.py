"""Labelled sets in both layouts, and what is wrong with others."""

from pathlib import Path

import pytest

from dermtriage.core.enums import CLASSES
from dermtriage_worker.evaluation.label_tables import LabelsInvalid
from dermtriage_worker.evaluation.labelled import read_labelled

ISIC = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name in ("part_1/A.jpg", "part_1/B.JPEG", "part_2/C.png", "part_2/notes.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def test_isic_truth(images: Path, table: Path) -> None:
    table.write_text(ISIC + "B,0.0,0.0,0.0,1.0,0.0,0.0,0.0\nA,1,0,0,0,0,0,0\n", "utf-8-sig")
    first, second = read_labelled(images, table)
    assert (first.image_id, first.diagnosis, first.lesion_id) == ("A", "mel", "A")
    assert first.path == images / "part_1" / "A.jpg"
    assert (first.diagnosis_type, first.inputs) == (None, {})
    assert (second.image_id, second.diagnosis) == ("B", "akiec")


def test_every_column_of_isic_is_its_class(images: Path, table: Path) -> None:
    for place, name in enumerate(ISIC.strip().split(",")[1:]):
        values = ["1.0" if index == place else "0.0" for index in range(7)]
        table.write_text(ISIC + ",".join(["A", *values]) + "\n")
        (one,) = read_labelled(images, table)
        assert one.diagnosis == name.lower()
        assert one.diagnosis in CLASSES


def test_ham10000_with_what_is_unknown_left_out(images: Path, table: Path) -> None:
    table.write_text(
        HAM + "L1,A,bcc,histo,80.0,male,scalp\nL1,C,bcc,histo,,unknown,unknown\n"
        "L2,B,nv,follow_up,45.0,female,unknown\n"
    )
    a, b, c = read_labelled(images, table)
    assert (a.lesion_id, a.diagnosis, a.diagnosis_type) == ("L1", "bcc", "histo")
    assert a.inputs == {"age_approx": 80, "sex": "male", "anatom_site": "scalp"}
    assert b.inputs == {"age_approx": 45, "sex": "female"}
    assert (c.lesion_id, c.inputs, c.path.suffix) == ("L1", {}, ".png")


def test_archive_metadata_joins_the_truth(images: Path, table: Path, tmp_path: Path) -> None:
    table.write_text(ISIC + "A,0,1,0,0,0,0,0\nB,0,1,0,0,0,0,0\n")
    more = tmp_path / "metadata.csv"
    more.write_text(
        "isic_id,age_approx,anatom_site_general,diagnosis_confirm_type,lesion_id,sex\n"
        "A,55,lower extremity,histopathology,IL_1,female\n"
        "Z,30,,,IL_2,\n"
    )
    a, b = read_labelled(images, table, more)
    assert (a.lesion_id, a.diagnosis_type) == ("IL_1", "histo")
    assert a.inputs == {"age_approx": 55, "sex": "female", "anatom_site": "lower extremity"}
    assert (b.lesion_id, b.inputs) == ("B", {})


def test_empty_cells_of_the_metadata_take_nothing_away(
    images: Path, table: Path, tmp_path: Path
) -> None:
    table.write_text(HAM + "L1,A,bcc,histo,80.0,male,scalp\n")
    more = tmp_path / "metadata.csv"
    more.write_text("image,sex,lesion_id\nA,,\n")
    (one,) = read_labelled(images, table, more)
    assert (one.lesion_id, one.inputs["sex"]) == ("L1", "male")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ISIC + "A,1,1,0,0,0,0,0\n", "row 2 .A. does not name exactly one class"),
        (ISIC + "A,0,0,0,0,0,0,0\n", "does not name exactly one class"),
        (ISIC + "A,0.9,0.1,0,0,0,0,0\n", "does not name exactly one class"),
        (ISIC + "A,1,x,0,0,0,0,0\n", "row 2"),
        (ISIC + "Z,1,0,0,0,0,0,0\n", "Z is labelled, but is not in"),
        (ISIC + "A,1,0,0,0,0,0,0\nA,1,0,0,0,0,0,0\n", "names A twice"),
        (HAM + "L1,A,scc,histo,50,male,back\n", "unknown class 'scc'"),
        (HAM + "L1,A,nv,histo,old,male,back\n", "age of A is 'old'"),
        ("image,label\nA,mel\n", "unknown layout"),
        (ISIC, "holds no row"),
    ],
)
def test_bad_tables_are_refused(images: Path, table: Path, text: str, complaint: str) -> None:
    table.write_text(text)
    with pytest.raises(LabelsInvalid, match=complaint):
        read_labelled(images, table)


def test_a_name_that_two_files_have_is_refused(images: Path, table: Path) -> None:
    (images / "part_2" / "A.jpg").touch()
    table.write_text(ISIC + "A,1,0,0,0,0,0,0\n")
    with pytest.raises(LabelsInvalid, match="holds A more than once"):
        read_labelled(images, table)


def test_files_that_cannot_be_read_are_named(images: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelsInvalid, match="cannot be read"):
        read_labelled(images, tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(LabelsInvalid, match="not a CSV file"):
        read_labelled(images, tmp_path / "binary.csv")
    metadata = tmp_path / "metadata.csv"
    metadata.write_text("name,sex\nA,male\n")
    (tmp_path / "truth.csv").write_text(ISIC + "A,1,0,0,0,0,0,0\n")
    with pytest.raises(LabelsInvalid, match="no column that names the image"):
        read_labelled(images, tmp_path / "truth.csv", metadata)
