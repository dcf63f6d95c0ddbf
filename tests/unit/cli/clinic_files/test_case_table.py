"""A clinic's CSV file: its cases and their metadata."""

from pathlib import Path

import pytest

from dermtriage.core.enums import ImageType
from dermtriage.core.errors import RequestRejected
from dermtriage_cli.clinic_files.case_table import TableCase, read_cases
from dermtriage_cli.clinic_files.csv_table import read_rows


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "photos.csv"


def cases(table: Path, text: str, *photographs: str) -> list[TableCase]:
    table.write_text(text, encoding="utf-8")
    return read_cases(table, photographs)


def test_rows_become_cases_with_typed_fields(table: Path) -> None:
    text = (
        "image,case,age_approx,sex,clin_size_long_diam_mm,personal_hx_mm,priority,image_type\n"
        "a,one,45,female,7.5,TRUE,urgent,dermoscopic\n"
        "b,one,,,,,,clinical: overview\n"
        "c,two,,,,,,\n"
    )
    assert cases(table, text, "a", "b", "c") == [
        TableCase(
            "one",
            {"a": ImageType.DERMOSCOPIC, "b": ImageType.OVERVIEW},
            {
                "age_approx": 45,
                "sex": "female",
                "clin_size_long_diam_mm": 7.5,
                "personal_hx_mm": True,
                "priority": "urgent",
            },
        ),
        TableCase("two", {"c": ImageType.DERMOSCOPIC}),
    ]


def test_without_a_case_column_each_photograph_is_a_case(table: Path) -> None:
    found = cases(table, "image,patient_id\na,P-1\nb,P-1\n", "a", "b")
    assert [list(case.images) for case in found] == [["a"], ["b"]]
    assert [case.metadata for case in found] == [{"patient_id": "P-1"}] * 2


def test_a_file_from_a_spreadsheet_is_read(table: Path) -> None:
    table.write_bytes(b'\xef\xbb\xbfimage , sex\r\n" a.JPG ", male \r\n')
    assert read_cases(table, ["a"]) == [
        TableCase("image a", {"a": ImageType.DERMOSCOPIC}, {"sex": "male"})
    ]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_of_another_country_is_read(table: Path, separator: str) -> None:
    text = "image,case,clin_size_long_diam_mm\na,one,6.5\n".replace(",", separator)
    assert cases(table, text.replace(".", ","), "a") == [
        TableCase("one", {"a": ImageType.DERMOSCOPIC}, {"clin_size_long_diam_mm": 6.5})
    ]


def test_an_age_is_rounded_and_kept(table: Path) -> None:
    (case,) = cases(table, "image,age_approx\na,47\n", "a")
    assert case.metadata == {"age_approx": 45, "history": {"age": 47}}


def test_rows_of_absent_cases_are_left_out(table: Path) -> None:
    assert [case.name for case in cases(table, "image,case\na,one\nb,two\nc,two\n", "a")] == ["one"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("image,case\na,one\nb,one\n", "Case one .* lacks the photograph b"),
        ("image,case\nb,one\n", "has no row for a"),
        ("image,diagnosis\na,nevus\n", "unknown columns: diagnosis"),
        ("image,age_approx\na,old\n", "line 2: age_approx: .*number of years"),
        ("image,image_type\na,selfie\n", "line 2: image_type is 'selfie'"),
        ("image,sex\na,male\na,male\n", "line 3: a is in line 2 already"),
        ("image,sex\n,male\n", "line 2: its column `image` is empty"),
        ("image,sex\na,male,more\n", "line 2: it has more cells"),
        ("file,sex\na,male\n", "has no column `image`"),
        ("image,sex,sex\na,male,male\n", "two columns with the same heading"),
        ('image,sex\na,"male\n', "is not a CSV file"),
        ("", "has no column `image`"),
    ],
)
def test_an_error_names_its_line(table: Path, text: str, complaint: str) -> None:
    with pytest.raises(RequestRejected, match=complaint):
        cases(table, text, "a")


def test_rows_of_a_case_may_not_contradict_each_other(table: Path) -> None:
    text = "image,case,sex\na,1,male\nb,1,\nc,1,female\n"
    with pytest.raises(RequestRejected, match=r"line 4: sex is 'female', but 'male' in line 2"):
        cases(table, text, "a", "b", "c")


def test_a_file_that_is_not_text_is_refused(table: Path) -> None:
    table.write_bytes(b"image,sex\n\xff\xfe,male\n")
    with pytest.raises(RequestRejected, match="is not a CSV file"):
        read_rows(table)


def test_other_columns_may_be_read_as_rows(table: Path) -> None:
    table.write_text("image,diagnosis\na.png,nevus\n")
    (row,) = read_rows(table)
    assert (row.image, row.values, row.line) == ("a", {"diagnosis": "nevus"}, 2)
