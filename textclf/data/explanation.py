"""Explanations: the contributions of features and of words, and their HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .html import Markup, escaped, more, quoted, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Method = Literal["exact", "gradients", "occlusion"]
# Where a unit of features comes from: the text of a pair (0 or 1), its first character, the one after its last.
Span = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Attributions:
    """What each unit of one text's features contributed to the logit of one label.

    units: int64[k], positions in the text's row of Tokens, or columns of a matrix: all that the model read of it.
    values: float64[k]; they add up to `logit` - `baseline`, but for an error. logit, baseline: of the text, and of a
    text without any unit. of: what the logit is. against: what the baseline is.
    """

    units: NDArray[np.int64]
    values: NDArray[np.float64]
    logit: float
    baseline: float
    of: str
    against: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text (part 0) or of the second text of a pair (part 1), and what it contributed.

    start, end: its characters in the text. seen: whether the model knows and read it; a word that was cut off, or is
    not in the model's vocabulary, contributed nothing.
    """

    text: str
    part: int
    start: int
    end: int
    contribution: float
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each word of a text contributed to the logit of a label: a page of its own, or shown in a notebook.

    text, pair: as the classifier reads them, after its cleaning. score: the label's probability. of: what `logit` is.
    against: what `baseline` is. remainder: contributions of what is in no word, such as spaces. why: what a network's
    encoder or trainer is missing, where words were deleted because of that.
    """

    text: str
    pair: str | None
    label: str
    score: float
    words: tuple[Word, ...]
    logit: float
    baseline: float
    remainder: float
    method: Method
    of: str
    against: str
    why: str = ""

    @property
    def error(self) -> float:
        """Return by how much the contributions miss the difference between logit and baseline.

        Exact weights and integrated gradients are complete (Sundararajan et al. 2017, axiom 1), so this is the error of
        their computation. Words that are deleted one by one need not add up: there it is how much words interact.
        """
        return self.logit - self.baseline - self.remainder - sum(word.contribution for word in self.words)

    @property
    def tolerable(self) -> bool:
        """Tell whether the error is at most a hundredth of the difference (or of 1); always true of occlusion."""
        return self.method == "occlusion" or abs(self.error) <= 0.01 * max(abs(self.logit - self.baseline), 1.0)

    @property
    def idle(self) -> str:
        """Say why no word contributed anything, or return an empty string where one did."""
        where = "this text" if self.pair is None else "these texts"
        if not any(word.seen for word in self.words):
            return f"no word of {where} is known to the model and read by it"
        return "" if any(word.contribution for word in self.words) else f"no word of {where} contributes anything"

    def top(self, count: int) -> list[Word]:
        """Return the words that contributed most, for or against the label."""
        contributing = [word for word in self.words if word.contribution]
        return sorted(contributing, key=lambda word: -abs(word.contribution))[:count]

    def to_json(self) -> dict[str, Any]:
        """Return the explanation's stable JSON form."""
        names = ("text", "pair", "label", "score", "logit", "baseline", "remainder", "error", "method", "of", "against")
        parts = ("text", "part", "start", "end", "contribution", "seen")
        words = [{name: getattr(word, name) for name in parts} for word in self.words]
        return {**{name: getattr(self, name) for name in (*names, "why")}, "words": words}

    def to_html(self) -> str:
        """Return a page of its own, which needs no network and runs no script."""
        return page([self])

    def _repr_html_(self) -> str:
        return fragment(self)


class Explanations(list[Explanation]):
    """Explanations in the order of their texts: a list that a notebook shows one below the other."""

    def to_html(self) -> str:
        """Return a page of all of them, which needs no network and runs no script."""
        return page(self)

    def _repr_html_(self) -> str:
        return Markup("".join([*map(fragment, self[:_SHOWN]), more(len(self) - _SHOWN, "explanation")]))


_SHOWN, _TOP = 20, 10
# Blue and orange differ for colour-blind readers too; solid and dotted lines differ without any colour.
_STYLE = """
.textclf-explanation { font: 1rem/1.9 system-ui, sans-serif; max-width: 50rem; overflow-wrap: anywhere; }
.textclf-explanation p { margin: .6rem 0; }
.textclf-explanation .words { white-space: pre-wrap; }
.textclf-explanation .for { background: rgb(0 114 178 / var(--a)); border-bottom: 2px solid rgb(0 114 178); }
.textclf-explanation .against { background: rgb(230 130 0 / var(--a)); border-bottom: 2px dotted rgb(230 130 0); }
.textclf-explanation .for, .textclf-explanation .against { border-radius: 3px; padding: .1em 0; }
.textclf-explanation .unseen { opacity: .55; text-decoration: line-through; }
.textclf-explanation .small { font-size: .85rem; line-height: 1.4; opacity: .8; }
.textclf-explanation table { border-collapse: collapse; line-height: 1.5; font-variant-numeric: tabular-nums; }
.textclf-explanation th, .textclf-explanation td { text-align: left; padding: 0 1.2rem 0 0; }
"""
_PAGE_STYLE = "body { margin: 2rem auto; padding: 0 1rem; max-width: 52rem; } :root { color-scheme: light dark; }"
_TITLE = "<title>textclf: what each word contributed</title>"
# The least share that is marked, and the opacity of the largest: the text must be readable on light and dark pages.
_FAINT, _DEEPEST = 0.05, 0.55


def page(explanations: Sequence[Explanation]) -> str:
    """Return a whole page; nothing in it is fetched or run."""
    return (
        '<!DOCTYPE html>\n<html lang="und"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"{_TITLE}<style>{_PAGE_STYLE}</style></head><body>" + "".join(map(fragment, explanations)) + "</body></html>\n"
    )


def is_page(beginning: bytes) -> bool:
    """Tell whether a file with this beginning is such a page."""
    return beginning.startswith(b"<!DOCTYPE html>") and _TITLE.encode() in beginning


def fragment(explanation: Explanation) -> Markup:
    """Return one explanation as an element for any page, such as a notebook."""
    texts = [explanation.text] if explanation.pair is None else [explanation.text, explanation.pair]
    most = max((abs(word.contribution) for word in explanation.words), default=0.0)
    marked = (_marked(text, (w for w in explanation.words if w.part == part), most) for part, text in enumerate(texts))
    rows = [(quoted(word.text), f"{word.contribution:+.4f}") for word in explanation.top(_TOP)]
    return Markup(
        f'<div class="textclf-explanation"><style>{_STYLE}</style>'
        f"<p><strong>{escaped(quoted(explanation.label))}</strong>: probability {explanation.score:.4f}</p>"
        + "".join(f'<p class="words" dir="auto">{text}</p>' for text in marked)
        + f'<p class="small">{escaped(explanation.idle or legend(explanation))}</p>'
        + (table(("word", "contribution"), rows) if rows else "")
        + f'<p class="small">{escaped(account(explanation))}</p></div>'
    )


def legend(explanation: Explanation) -> str:
    """Return what colours and lines mean."""
    label = quoted(explanation.label)
    unseen = any(not word.seen for word in explanation.words)
    more = "; words struck through are unknown to the model or not read by it" if unseen else ""
    return f"blue and underlined speaks for {label}, orange and dotted against it{more}"


def account(explanation: Explanation) -> str:
    """Describe in one line what was computed, and how far it adds up."""
    method = {
        "exact": "exact weights of a linear model",
        "gradients": "integrated gradients (Sundararajan et al. 2017)",
        "occlusion": "occlusion: the change when a word is deleted",
    }[explanation.method]
    reason = f", since {explanation.why}" if explanation.why else ""
    gap = "they need not add up; gap" if explanation.method == "occlusion" else "completeness error"
    rest = f", of what is in no word {explanation.remainder:+.4f}" if explanation.remainder else ""
    logit = f"{explanation.of}: {explanation.logit:+.4f}"
    baseline = f"of {explanation.against}: {explanation.baseline:+.4f}{rest}"
    error = f"{gap} {explanation.error:.2g}"
    return f"{method}{reason}; {logit}; {baseline}; {error}; the text as it is after cleaning"


def _marked(text: str, words: Iterable[Word], most: float) -> Markup:
    """Return the text with each word marked by what it contributed, relative to the most."""
    found, at = [], 0
    for word in words:
        found += [escaped(text[at : word.start]), _word(word, most)]
        at = word.end
    return Markup("".join([*found, escaped(text[at:])]))


def _word(word: Word, most: float) -> str:
    if not word.seen:
        # Punctuation that is struck through cannot be read.
        kind = ' class="unseen"' if any(map(str.isalnum, word.text)) else ""
        return f'<span{kind} title="unknown or not read">{escaped(word.text)}</span>'
    share = abs(word.contribution) / most if most else 0.0
    if share < _FAINT:
        return f'<span title="{word.contribution:+.4f}">{escaped(word.text)}</span>'
    kind = "for" if word.contribution > 0 else "against"
    depth = f"--a:{_DEEPEST * share:.2f}"
    return f'<span class="{kind}" style="{depth}" title="{word.contribution:+.4f}">{escaped(word.text)}</span>'
