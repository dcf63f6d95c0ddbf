"""Which metadata of a referral is accepted."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dermtriage.intake.referral import MAX_HISTORY_FIELDS, MAX_IMAGES, CaseMetadata

IMAGE = {"image_type": "dermoscopic", "sha256": "0" * 64}


def described(**fields: Any) -> CaseMetadata:
    return CaseMetadata.model_validate_json(json.dumps({"images": [IMAGE], **fields}))


def test_one_photograph_suffices_for_a_referral() -> None:
    metadata = described()
    assert metadata.priority == "routine"
    assert metadata.history == {}
    assert metadata.age_approx is None


@pytest.mark.parametrize(("sent", "rounded"), [(47, 45), (48, 50), (90, 85), ("47.0", 45)])
def test_an_age_is_rounded_and_kept_in_the_history(sent: float | str, rounded: int) -> None:
    metadata = described(age_approx=sent, history={"itches": True})
    assert metadata.age_approx == rounded
    assert metadata.history == {"age": int(float(sent)), "itches": True}


@pytest.mark.parametrize("sent", [50, "50", 50.0, "50.0"])
def test_an_age_that_is_not_rounded_leaves_the_history_alone(sent: float | str) -> None:
    assert (described(age_approx=sent).age_approx, described(age_approx=sent).history) == (50, {})


@pytest.mark.parametrize(
    "fields",
    [
        {"age_approx": 0},
        {"age_approx": 85},
        {"sex": "female", "fitzpatrick_skin_type": "VI"},
        {"clinic_reference": "Robert'); DROP TABLE cases;--"},
        {"patient_id": "../../etc/passwd"},
        {"lesion_id": "\u202egpj.exe \N{SNOWMAN} \U0001f9b6"},
        {"history": {"changed": True, "since weeks": 3, "itches": "a little", "size": 4.5}},
    ],
    ids=str,
)
def test_valid_fields_are_kept_unchanged(fields: dict[str, Any]) -> None:
    assert described(**fields).model_dump(mode="json", include=set(fields)) == fields


@pytest.mark.parametrize(
    "fields",
    [
        {"images": []},
        {"images": [IMAGE] * (MAX_IMAGES + 1)},
        {"images": [{**IMAGE, "sha256": "0" * 63}]},
        {"images": [{**IMAGE, "sha256": "G" * 64}]},
        {"images": [{**IMAGE, "image_type": "selfie"}]},
        {"images": [{**IMAGE, "file": "/etc/passwd"}]},
        {"priority": "whenever"},
        {"age_approx": 121},
        {"age_approx": "old"},
        {"age_approx": True},
        {"age_approx": -5},
        {"sex": "other"},
        {"fitzpatrick_skin_type": "VII"},
        {"clin_size_long_diam_mm": 0},
        {"clin_size_long_diam_mm": float("nan")},
        {"clin_size_long_diam_mm": float("inf")},
        {"onset_date": "last summer"},
        {"clinic_reference": ""},
        {"clinic_reference": "x" * 101},
        {"patient_id": "a\x00b"},
        {"patient_id": "\ud800"},
        {"history": {"note": "a\x00b"}},
        {"history": {"a\x00b": 1}},
        {"history": {"note": "x" * 2001}},
        {"history": {str(n): n for n in range(MAX_HISTORY_FIELDS + 1)}},
        {"history": {"deep": {"deeper": 1}}},
        {"history": {"size": float("nan")}},
        {"history": {"size": float("-inf")}},
        {"replaces_case_id": "the last one"},
        {"surprise": 1},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_invalid_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        described(**fields)


@given(
    st.text(),
    st.dictionaries(st.text(), st.floats() | st.integers() | st.text() | st.booleans()),
)
def test_accepted_metadata_can_be_stored(reference: str, history: dict[str, Any]) -> None:
    """PostgreSQL's text has no NUL, its JSON no NaN, and neither has lone surrogates."""
    try:
        metadata = CaseMetadata.model_validate(
            {"images": [IMAGE], "clinic_reference": reference, "history": history}
        )
    except ValidationError:
        return
    stored = json.dumps([reference, metadata.history], allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in stored
    stored.encode()
