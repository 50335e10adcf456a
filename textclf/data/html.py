"""Texts of data in HTML: control characters made visible, everything escaped, and plain tables."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from ..errors import counted

# What a reader cannot see, or what moves the text around it: controls, bidirectional and invisible marks, lone
# surrogates, noncharacters. Tabs and line feeds stay; joiners (U+200C, U+200D) make emoji and Persian letters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


class Markup(str):
    """A string of HTML: `escaped` and `table` leave it as it is, and so do templates that read `__html__`."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def visible(text: str) -> str:
    """Return the text with each control or invisible character as its number: ⟨U+202E⟩."""
    return _UNSEEN.sub(lambda found: f"\u27e8U+{ord(found[0]):04X}\u27e9", text)


def quoted(name: str) -> str:
    """Return a name as `visible` does, in quotes where it is empty or blank."""
    return visible(name) if name.strip() else f'"{visible(name)}"'


def escaped(text: str) -> Markup:
    """Return the text as HTML, for an element's content or a quoted attribute; Markup as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(visible(text)))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return a table without styles, for light and dark pages; every cell is escaped."""
    head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in headers)
    body = "".join("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return Markup(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def more(count: int, noun: str) -> Markup:
    """Return "… and 5 labels more", or nothing where there are none."""
    return escaped(f"… and {counted(count, noun)} more" if count > 0 else "")
