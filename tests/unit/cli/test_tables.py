"""The clinic's CSV file: which photographs make a case, and what is known of it."""

from pathlib import Path

import pytest

from dermtriage.core.enums import ImageType
from dermtriage.core.errors import RequestRejected
from dermtriage_cli.tables import TableCase, read_cases, read_rows


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


def test_without_the_column_case_each_photograph_is_one(table: Path) -> None:
    found = cases(table, "image,patient_id\na,P-1\nb,P-1\n", "a", "b")
    assert [list(case.images) for case in found] == [["a"], ["b"]]
    assert [case.metadata for case in found] == [{"patient_id": "P-1"}] * 2


def test_a_file_out_of_a_spreadsheet_is_read(table: Path) -> None:
    table.write_bytes(b'\xef\xbb\xbfimage , sex\r\n" a.JPG ", male \r\n')
    assert read_cases(table, ["a"]) == [
        TableCase("image a", {"a": ImageType.DERMOSCOPIC}, {"sex": "male"})
    ]


def test_rows_of_absent_cases_are_left_out(table: Path) -> None:
    assert [case.name for case in cases(table, "image,case\na,one\nb,two\nc,two\n", "a")] == ["one"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("image,case\na,one\nb,one\n", "Case one .* lacks its photograph b"),
        ("image,case\nb,one\n", "says nothing of a"),
        ("image,diagnosis\na,nevus\n", "does not have: diagnosis"),
        ("image,age_approx\na,44\n", "line 2: age_approx: .*multiple of 5"),
        ("image,image_type\na,selfie\n", "line 2: image_type is 'selfie'"),
        ("image,sex\na,male\na,male\n", "line 3: a stands in line 2 already"),
        ("image,sex\n,male\n", "line 2: its column `image` is empty"),
        ("image,sex\na,male,more\n", "line 2: it has more cells"),
        ("file,sex\na,male\n", "has no column `image`"),
        ("image,sex,sex\na,male,male\n", "two columns with the same heading"),
        ('image,sex\na,"male\n', "is no CSV file"),
        ("", "has no column `image`"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(table: Path, text: str, complaint: str) -> None:
    with pytest.raises(RequestRejected, match=complaint):
        cases(table, text, "a")


def test_rows_of_a_case_may_not_contradict_each_other(table: Path) -> None:
    text = "image,case,sex\na,1,male\nb,1,\nc,1,female\n"
    with pytest.raises(RequestRejected, match=r"line 4: sex is 'female', while line 2 .* 'male'"):
        cases(table, text, "a", "b", "c")


def test_what_is_no_text_is_refused(table: Path) -> None:
    table.write_bytes(b"image,sex\n\xff\xfe,male\n")
    with pytest.raises(RequestRejected, match="is no CSV file"):
        read_rows(table)


def test_further_columns_are_read_where_no_referral_is_made(table: Path) -> None:
    table.write_text("image,diagnosis\na.png,nevus\n")
    (row,) = read_rows(table)
    assert (row.image, row.values, row.line) == ("a", {"diagnosis": "nevus"}, 2)
