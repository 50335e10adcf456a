"""Owns how an explanation looks on a terminal: for a label bold on blue, against it underlined on orange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..data.html import quoted, visible
from .terminal import plain_lines
from .words import cut, fixed, plural

if TYPE_CHECKING:
    from ..data.explanation import Explanation, Word

_TOP, _WIDTH = 10, 40
# Characters at each end of a long text that are shown: some fifty lines.
_END = 4000
_UNSEEN = "dim strike"
# Shares of the largest contribution: from the first on a word is marked, from the second on its ground is coloured.
_MARKED, _FILLED = 0.05, 0.4


def explanation_parts(explanation: Explanation) -> list[RenderableType]:
    """Return the label, the text with its words marked, the words that matter most, and what was computed."""
    from ..data.explanation import account

    title = f"{cut(quoted(explanation.label), _WIDTH)}: probability {fixed(explanation.score)}"
    parts: list[RenderableType] = ["", Text(title, style="bold"), ""]
    texts = [explanation.text] if explanation.pair is None else [explanation.text, explanation.pair]
    for part, text in enumerate(texts):
        parts += [_marked(explanation, part, text), ""] if text.strip() else []
    idle = explanation.idle
    parts += [idle, ""] if idle else [_legend(explanation), "", _table(explanation), ""]
    parts.append(visible(account(explanation)))
    if not explanation.tolerable:
        parts.append("warning: the contributions miss the difference by more than a hundredth of it; they are rough")
    return parts


def _legend(explanation: Explanation) -> Text:
    # Each entry in its own style: the style of a text that another is added to would be that of both.
    entries = [Text("for it", style=_style(1.0)), Text("against it", style=_style(-1.0))]
    if any(not word.seen for word in explanation.words):
        entries.append(Text("unknown or not read", style=_UNSEEN))
    return Text(", ").join(entries)


def _marked(explanation: Explanation, part: int, text: str) -> Text:
    """Return a text with its words marked, of a long one its two ends."""
    most = max((abs(word.contribution) for word in explanation.words), default=0.0)
    words = [word for word in explanation.words if word.part == part]
    start, end = _left_out(words, len(text))
    if start == end:
        return _stretch(text, words, 0, len(text), most)
    out = sum(start <= word.start < end for word in words)
    told = f"{plural(end - start, 'character')}, {plural(out, 'word')}"
    note = Text(f"[left out here: {told}; --html FILE and --json have all]", style="dim")
    shown = (_stretch(text, words, 0, start, most), note, _stretch(text, words, end, len(text), most))
    return Text("\n").join(piece for piece in shown if piece)


def _left_out(words: list[Word], length: int) -> tuple[int, int]:
    """Return the characters between the ends of a long text, rounded to whole words."""
    start, end = (_END, length - _END) if length > 2 * _END else (length, length)
    for word in words:
        start = word.start if word.start < start < word.end else start
        end = word.end if word.start < end < word.end else end
    return start, end


def _stretch(text: str, words: list[Word], start: int, end: int, most: float) -> Text:
    found, at = Text(), start
    for word in words:
        if start <= word.start and word.end <= end:
            found.append(_shown(text[at : word.start]))
            found.append(_shown(word.text), style=_of_word(word, most))
            at = word.end
    return found.append(_shown(text[at:end]))


def _shown(text: str) -> str:
    return plain_lines(visible(text))


def _of_word(word: Word, most: float) -> str:
    return _style(word.contribution / most if most else 0.0) if word.seen else _UNSEEN


def _style(share: float) -> str:
    """Return the style of a word; colours are told apart by all, and bold and underlined where there are none."""
    if abs(share) < _MARKED:
        return ""
    if abs(share) < _FILLED:
        return "bold #3a9bdc" if share > 0 else "underline #d98200"
    return "bold #ffffff on #0067a8" if share > 0 else "underline #000000 on #f0a030"


def _table(explanation: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("word", no_wrap=True)
    table.add_column("contribution", justify="right", no_wrap=True)
    table.add_column("speaks", no_wrap=True)
    for word in explanation.top(_TOP):
        side = "for it" if word.contribution > 0 else "against it" if word.contribution < 0 else ""
        table.add_row(Text(cut(visible(word.text), _WIDTH)), f"{word.contribution:+.4f}", side)
    return table
