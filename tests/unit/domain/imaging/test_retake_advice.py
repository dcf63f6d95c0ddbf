"""Advice on a photograph's quality follows from its figures alone."""

import pytest

from dermtriage.imaging.retake_advice import (
    ADVICE,
    LOW_RESOLUTION_SIDE,
    QualityReason,
    quality_reasons,
)

FINE = {
    "sharpness": 0.43,
    "brightness": 0.6,
    "contrast": 0.1,
    "dark_share": 0.0,
    "bright_share": 0.0,
    "lesion_contrast": 0.7,
    "lesion_share": 0.15,
    "off_centre": 0.2,
    "edge_share": 0.0,
}


def reasons(width: int = 600, height: int = 450, **changes: float) -> list[str]:
    return list(quality_reasons(FINE | changes, width=width, height=height))


def test_an_ordinary_photograph_needs_no_advice() -> None:
    assert reasons() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sharpness": 0.1}, "blurry"),
        ({"brightness": 0.2}, "bad_lighting"),
        ({"brightness": 0.95}, "bad_lighting"),
        ({"dark_share": 0.3}, "bad_lighting"),
        ({"bright_share": 0.3}, "bad_lighting"),
        ({"lesion_contrast": 0.05}, "bad_framing"),
        ({"off_centre": 1.0}, "bad_framing"),
        ({"edge_share": 0.8}, "bad_framing"),
        ({"lesion_share": 0.005}, "distance"),
    ],
)
def test_each_figure_has_its_reason(changes: dict[str, float], expected: str) -> None:
    assert reasons(**changes) == [expected]


def test_the_shorter_side_counts() -> None:
    assert reasons(width=2000, height=LOW_RESOLUTION_SIDE) == []
    assert reasons(width=2000, height=LOW_RESOLUTION_SIDE - 1) == ["low_resolution"]
    assert reasons(width=LOW_RESOLUTION_SIDE - 1, height=2000) == ["low_resolution"]


def test_several_reasons_come_in_their_order() -> None:
    assert reasons(sharpness=0.0, lesion_share=0.0, off_centre=2.0, width=100) == [
        "bad_framing",
        "blurry",
        "low_resolution",
        "distance",
    ]


def test_a_figure_that_was_not_measured_gives_no_reason() -> None:
    assert quality_reasons({"sharpness": 0.4}, width=600, height=450) == ()
    assert quality_reasons({}, width=600, height=450) == ()


def test_every_reason_says_what_to_do() -> None:
    assert set(ADVICE) == set(QualityReason)
