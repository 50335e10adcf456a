"""Windows: few rows at first, bounded in number and size, and cut alike whenever the same rows come."""

from __future__ import annotations

import pytest

from textclf.data.batching import WINDOW, Window, characters_of


def sizes(texts: list[str], bounds: Window = WINDOW, number: int = 0) -> list[int]:
    return [len(window) for window in bounds.cut(texts, number)]


def test_the_first_windows_are_small_and_later_ones_large():
    assert sizes(["x"] * 20_000) == [64, 256, 1024, 4096, 8192, 6368]


def test_a_window_ends_with_the_text_that_reaches_its_characters():
    assert sizes(["x" * 300_000] * 10) == [4, 4, 2]
    assert sizes(["x" * 5_000_000] * 2) == [1, 1]


def test_a_window_is_never_larger_than_asked():
    assert sizes(["x"] * 100, Window(texts=30)) == [30, 30, 30, 10]
    assert sizes([], Window(texts=30)) == []


@pytest.mark.parametrize("done", [1, 2, 4])
def test_cutting_goes_on_as_it_began(done: int):
    texts = ["x" * (row % 900) for row in range(9000)]
    whole = list(WINDOW.cut(texts))
    begun = sum(map(len, whole[:done]))
    assert list(WINDOW.cut(texts[begun:], done)) == whole[done:]


def test_pairs_and_rows_count_with_all_their_texts():
    assert characters_of(("ab", "cde")) == 5
    assert characters_of(("ab", 1, None, ["c", "d"])) == 6
