"""Names and texts that are accepted and refused."""

import pytest

from dermtriage.core.errors import RequestRejected
from dermtriage.core.validation import check_text, checked_name


def test_white_space_around_a_name_is_removed() -> None:
    assert checked_name("  Aldea Norte ", "name", 11) == "Aldea Norte"


@pytest.mark.parametrize("name", ["", "  ", "x" * 12, "a\x00b", "a\nb"])
def test_a_name_that_cannot_be_stored_or_shown_is_refused(name: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        checked_name(name, "display_name", 11)
    assert refused.value.field == "display_name"


@pytest.mark.parametrize("text", ["", " \n", "x" * 12])
def test_a_blank_or_long_text_is_refused(text: str) -> None:
    check_text("reason", "x" * 11, 11)
    with pytest.raises(RequestRejected, match="The reason must have 1 to 11 characters") as refused:
        check_text("reason", text, 11)
    assert refused.value.field == "reason"
