"""Numbers, durations and names as people read them."""

from __future__ import annotations

import math

import pytest

from textclf.cli.format import duration, fixed, number, p_value, percent, plain, shorten, signed, size


def test_wide_characters_are_shortened_by_the_columns_they_take() -> None:
    assert shorten("映" * 30, 20).endswith("映映")
    assert shorten("short", 20) == "short"


def test_plain_text_keeps_what_scripts_need() -> None:
    assert plain("a\u200db\u0301 ש\u200f\tx\r\n") == "a\u200db\u0301 ש\u200f x  "


def test_durations_have_the_units_people_use() -> None:
    assert [duration(s) for s in (0.04, 12.3, 59.9, 200, 7500)] == ["0.0 s", "12 s", "60 s", "3 min 20 s", "2 h 5 min"]


@pytest.mark.parametrize(
    ("formatted", "expected"),
    [
        (fixed(0.12345), "0.1235"), (fixed(None), "undefined"), (fixed(math.nan), "undefined"), (fixed(2, 1), "2.0"),
        (signed(0.1), "+0.1000"), (signed(-0.1), "-0.1000"), (p_value(0.05), "0.0500"), (p_value(1e-5), "<0.0001"),
        (number(12345), "12,345"), (number(0.5), "0.5000"), (number(True), "True"), (number("a"), "a"),
        (percent(0.427), "43 %"), (size(5_000_000), "5 MB"), (size(3.21e9), "3.2 GB"),
    ],
)  # fmt: skip
def test_numbers_have_their_digits_and_units(formatted: str, expected: str) -> None:
    assert formatted == expected
