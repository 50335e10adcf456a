"""Owns how explanations look in a browser: words in blue or orange, the deeper the more they contributed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .markup import Markup, escaped, quoted, table

if TYPE_CHECKING:
    from .contributions import Contributions, Word

_TOP = 10
# Blue and orange are told apart by all who see colours otherwise; underlines say it without any colour.
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
# The weakest that is marked, and how deep the deepest is: text on it must still be read, in the light and in the dark.
_FAINT, _DEEPEST = 0.05, 0.55


def page(explanations: Sequence[Contributions]) -> str:
    """Return a whole page; nothing in it is fetched or run."""
    return (
        '<!DOCTYPE html>\n<html lang="und"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"{_TITLE}<style>{_PAGE_STYLE}</style></head><body>"
        + "".join(map(fragment, explanations))
        + "</body></html>\n"
    )


def is_page(beginning: bytes) -> bool:
    """Tell whether a file that begins so is such a page."""
    return beginning.startswith(b"<!DOCTYPE html>") and _TITLE.encode() in beginning


def fragment(explanation: Contributions) -> Markup:
    """Return one explanation as an element that stands in any page, as in a notebook."""
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


def legend(explanation: Contributions) -> str:
    """Return what colours and lines mean."""
    label = quoted(explanation.label)
    unseen = any(not word.seen for word in explanation.words)
    more = "; words struck through are unknown to the model or not read by it" if unseen else ""
    return f"blue and underlined speaks for {label}, orange and dotted against it{more}"


def account(explanation: Contributions) -> str:
    """Return in one sentence or two what was computed, and how far it adds up."""
    told = {
        "exact": "exact weights of a linear model",
        "gradients": "integrated gradients (Sundararajan et al. 2017)",
        "occlusion": "occlusion: the change when a word is deleted",
    }[explanation.method]
    told += f", since {explanation.why}" if explanation.why else ""
    gap = "they need not add up; gap" if explanation.method == "occlusion" else "completeness error"
    rest = f", of what is in no word {explanation.remainder:+.4f}" if explanation.remainder else ""
    return (
        f"{told}; {explanation.of}: {explanation.logit:+.4f}; of {explanation.against}: {explanation.baseline:+.4f}"
        f"{rest}; {gap} {explanation.error:.2g}; the text as it is after cleaning"
    )


def _marked(text: str, words: Iterable[Word], most: float) -> Markup:
    """Return the text with each word marked by what it contributed, relative to the most."""
    found, at = [], 0
    for word in words:
        found += [escaped(text[at : word.start]), _word(word, most)]
        at = word.end
    return Markup("".join([*found, escaped(text[at:])]))


def _word(word: Word, most: float) -> str:
    if not word.seen:
        # Signs that are struck through cannot be read.
        kind = ' class="unseen"' if any(map(str.isalnum, word.text)) else ""
        return f'<span{kind} title="unknown or not read">{escaped(word.text)}</span>'
    share = abs(word.contribution) / most if most else 0.0
    if share < _FAINT:
        return f'<span title="{word.contribution:+.4f}">{escaped(word.text)}</span>'
    kind = "for" if word.contribution > 0 else "against"
    depth = f"--a:{_DEEPEST * share:.2f}"
    return f'<span class="{kind}" style="{depth}" title="{word.contribution:+.4f}">{escaped(word.text)}</span>'
