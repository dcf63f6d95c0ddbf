"""The enumerations of the domain and the allowed transitions."""

import pytest

from dermtriage.core.enums import (
    CLASSES,
    PRIORITY_LANE,
    SEVERE_CLASSES,
    SEVERITY_LANE,
    TRANSITIONS,
    CaseState,
    Lane,
    Priority,
    Severity,
    may_become,
)

PERMITTED = {
    ("open", "decided"),
    ("open", "awaiting_retake"),
    ("open", "withdrawn"),
    ("awaiting_retake", "open"),
    ("awaiting_retake", "decided"),
    ("awaiting_retake", "withdrawn"),
    ("decided", "open"),
    ("decided", "awaiting_retake"),
}


@pytest.mark.parametrize("old", CaseState)
@pytest.mark.parametrize("new", CaseState)
def test_transitions(old: CaseState, new: CaseState) -> None:
    assert may_become(old, new) == ((old.value, new.value) in PERMITTED)


def test_every_member_is_mapped() -> None:
    assert set(TRANSITIONS) == set(CaseState)
    assert set(SEVERITY_LANE) == set(Severity)
    assert set(SEVERITY_LANE.values()) == set(Lane)
    assert set(PRIORITY_LANE) == set(Priority)


def test_the_classes_are_those_of_ham10000_and_three_are_severe() -> None:
    assert list(CLASSES) == sorted({"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"})
    assert set(SEVERE_CLASSES) == {"mel", "bcc", "akiec"}
