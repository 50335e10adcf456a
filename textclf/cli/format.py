"""Numbers, durations and names as people read them."""

from __future__ import annotations

import math

from rich.cells import cell_len, set_cell_size


def fixed(value: float | None, digits: int = 4) -> str:
    """Return a number with fixed digits, or "undefined"."""
    return "undefined" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """Return a difference with its sign and four digits."""
    return f"{value:+.4f}"


def p_value(value: float) -> str:
    return "<0.0001" if value < 1e-4 else fixed(value)


def thousands(value: float) -> str:
    return f"{value:,.0f}"


def number(value: object) -> str:
    """Return any value: integers with thousands, other numbers with four digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return thousands(value)
    return fixed(value) if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    """Return a share of one in hundredths."""
    return f"{100 * share:.0f} %"


def size(count: float) -> str:
    """Return a number of bytes: 12 MB, 1.3 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """Return seconds as 0.4 s, 12 s, 3 min 20 s or 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


# Directional overrides can make a line read as what it is not; marks and joiners, which real scripts need, stay.
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_CONTROLS: dict[int, str] = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *map(ord, _BIDI)), "")
_CONTROLS |= {ord(space): " " for space in "\t\n\r\x0b\x0c\u2028\u2029"}


def plain(text: str) -> str:
    """Return text from data as one line without control characters."""
    return text.translate(_CONTROLS)


def plain_lines(text: str) -> str:
    """Return text from data without control characters other than line breaks."""
    return "\n".join(plain(line) for line in text.split("\n"))


def shorten(text: str, width: int) -> str:
    """Return text from data on one line of at most `width` columns: of a longer one its beginning and its end."""
    line = plain(text)
    if cell_len(line) <= width:
        return line
    tail = max((width - 3) // 3, 0)
    end = set_cell_size(line[::-1], tail)[::-1].strip() if tail else ""
    return set_cell_size(line, width - 3 - tail).rstrip() + "..." + end
