"""Owns how numbers, durations and long names are written for people."""

from __future__ import annotations

import math

from rich.cells import cell_len, set_cell_size

from .terminal import plain


def fixed(value: float | None, digits: int = 4) -> str:
    """Return a number of fixed digits; what is not defined is said so."""
    return "undefined" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def thousands(value: float) -> str:
    return f"{value:,.0f}"


def clock(seconds: float) -> str:
    """Return a duration as a person says it: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def share(value: float) -> str:
    """Return a share of one in hundredths."""
    return f"{100 * value:.0f} %"


def amount(size: float) -> str:
    """Return bytes as a person says them: 12 MB, 1.3 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def plural(count: int, noun: str) -> str:
    return f"{thousands(count)} {noun}" + ("" if count == 1 else "s")


def cut(text: str, width: int) -> str:
    """Return text from data on one line of at most `width` columns; of a longer one its beginning and its end."""
    line = plain(text)
    if cell_len(line) <= width:
        return line
    tail = max((width - 3) // 3, 0)
    end = set_cell_size(line[::-1], tail)[::-1].strip() if tail else ""
    return set_cell_size(line, width - 3 - tail).rstrip() + "..." + end
