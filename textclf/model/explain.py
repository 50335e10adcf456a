"""Explanations of a classifier: contributions of features become contributions of words."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..data.batching import Window
from ..data.dataset import Labels, Texts
from ..data.explanation import Attributions, Explanation, Method, Span, Word
from ..errors import PluginError, RecipeError, counted, did_you_mean, kind_of, listing
from ..plugin.events import Progress
from ..plugin.step import Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Range = tuple[int, int]

# Scripts that put no spaces between words: each of their characters is a word of its own.
_ALONE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_JOINERS = "\u200c\u200d"
# Over kinds of characters: w of words, a alone, s signs, m marks on what is before them, j joiners.
_WORD = re.compile(r"w[wmj]*(?:'w[wmj]*)*|[as'](?:m|j[as]?)*|[mj]+")


def words_of(text: str) -> list[Range]:
    """Return the ranges of a text's words, in order: runs of letters and digits, and every other visible character."""
    kinds = {char: _kind(char) for char in set(text)}
    return [found.span() for found in _WORD.finditer("".join(map(kinds.__getitem__, text)))]


def without(text: str, ranges: Iterable[Range]) -> str:
    """Return the text without the ranges, nor the spaces that would be left over."""
    kept, at = "", 0
    pieces = []
    for start, end in sorted(ranges):
        pieces.append(text[at:start])
        kept, at = pieces[-1] or kept, end
        if at < len(text) and text[at].isspace() and (not kept or kept[-1].isspace()):
            at += 1
    return "".join([*pieces, text[at:]])


def _kind(char: str) -> str:
    if char in "'\u2019":
        return "'"
    if char in _JOINERS:
        return "j"
    category = unicodedata.category(char)
    if char.isspace() or category in ("Cc", "Cf", "Cs"):
        return " "
    if category[0] == "M":
        return "m"
    if char == "_" or char.isalnum():
        return "a" if _ALONE.match(char) else "w"
    return "s"


Asked = Literal["auto", "exact", "gradients", "occlusion"]
ASKED: tuple[Asked, ...] = get_args(Asked)
# Texts that are scored to explain one by occlusion, at most: of longer ones, runs of words are deleted together.
_MOST = 512
# And so many of them are scored at once, so that it can be told how far it is.
_TOGETHER = Window(texts=64)
_WORDLESS = "a text without words"


@dataclass(frozen=True, slots=True)
class Parts:
    """What explains: the parts of a classifier, and how it scores texts that are cleaned already."""

    labels: Labels
    encoder: Any
    model: Any
    steps: tuple[Step[Any], Step[Any]]
    score: Callable[[Texts], NDArray[np.float32]]
    context: Any


@dataclass(frozen=True, slots=True)
class Wish:
    """A text, by its row, and the column of the label to explain, with the score that it has."""

    row: int
    column: int
    score: float


def checked_method(method: str, place: str = "method") -> Asked:
    """Return the name of a method; a RecipeError where it is none."""
    if not isinstance(method, str):
        raise RecipeError(f"{place} is a str, not {kind_of(method)} (known: {listing(ASKED)})")
    if method not in ASKED:
        raise RecipeError(f"{place}: '{method}' is unknown{did_you_mean(method, ASKED)} (known: {listing(ASKED)})")
    return method


def explain(parts: Parts, texts: Texts, wishes: Sequence[Wish], asked: Asked) -> list[Explanation]:
    """Return one explanation a wish; `auto` asks the parts themselves where they can tell, else deletes words."""
    why_not = "as asked" if asked == "occlusion" else _why_not(parts)
    if why_not and asked not in ("auto", "occlusion"):
        raise RecipeError(f"method '{asked}': {why_not}; use auto or occlusion")
    if why_not:
        # Only of networks is more to be expected: other encoders need not tell where their features come from.
        expected = asked == "auto" and parts.steps[0].traits.makes == "tokens"
        return [_occluded(parts, texts, wish, why_not if expected else "") for wish in wishes]
    method: Method = parts.steps[1].call("explains_by", lambda: parts.model.explains_by)
    if asked not in ("auto", method):
        known = f"{parts.steps[1]} is explained by '{method}'"
        raise RecipeError(f"method '{asked}': {known}; use auto, {method} or occlusion")
    return _attributed(parts, texts, wishes, method)


def _why_not(parts: Parts) -> str:
    """Say why what words contributed cannot be had from the parts themselves, or return an empty string."""
    encoder, trainer = parts.steps
    if not callable(getattr(parts.encoder, "spans", None)):
        return f"{encoder} does not tell where in a text its features come from (spans)"
    if not callable(getattr(parts.model, "attributions", None)):
        return f"{trainer} does not tell what its features contribute"
    opaque = getattr(parts.model, "opaque", None)
    return trainer.call("opaque", opaque) if callable(opaque) else ""


def _attributed(parts: Parts, texts: Texts, wishes: Sequence[Wish], method: Method) -> list[Explanation]:
    import numpy as np

    encoder, trainer = parts.steps
    given = texts.take([wish.row for wish in wishes])
    columns = np.array([wish.column for wish in wishes], np.int64)
    features = encoder.call("encode", lambda: parts.encoder.encode(given, parts.context))
    spans = encoder.call("spans", lambda: list(parts.encoder.spans(given, parts.context)))
    found = trainer.call("attributions", lambda: list(parts.model.attributions(features, columns, parts.context)))
    if len(spans) != len(given) or len(found) != len(given):
        counts = f"{encoder} gives the spans of {len(spans)} texts and {trainer} attributions of {len(found)}"
        raise PluginError(f"{counts}, where {len(given)} were asked for")
    explained = []
    for row, (wish, places, told) in enumerate(zip(wishes, spans, found, strict=True)):
        words = _Words(given, row)
        sound = _checked(told, trainer, parts.model.attributions)
        _demand_places(words, partial(chain.from_iterable, places.values()), parts, "spans")
        values, remainder = encoder.call("spans", partial(words.shared, places, sound))
        explained.append(_explanation(parts, given, row, wish, method, words.told(values), remainder, told))
    return explained


def _demand_places(words: _Words, told: Callable[[], Iterable[Span]], parts: Parts, method: str) -> None:
    """Raise a PluginError where a method of the encoder tells of a place that is none in the text."""
    encoder, _ = parts.steps
    fault = encoder.call(method, lambda: words.fault_of(told()))
    if fault:
        raise encoder.error(f"{method} tells of {fault}")


def _checked(told: Attributions, trainer: Step[Any], method: object) -> Attributions:
    import numpy as np

    if not isinstance(told, Attributions):
        raise trainer.error(f"attributions returned {kind_of(told)} for a text, not textclf.Attributions")
    if len(told.units) != len(told.values) or not np.isfinite([*told.values, told.logit, told.baseline]).all():
        raise trainer.error("attributions are NaN or infinite, or not one for each unit")
    return told


def _occluded(parts: Parts, texts: Texts, wish: Wish, why: str) -> Explanation:
    """Explain by what deleting each word that is read changes; `why`: the reason to tell, if any."""
    import numpy as np

    given = texts.take([wish.row])
    words = _Words(given, 0)
    read = _read(parts, given, words)
    # All texts are scored without what is not read: nothing is to move up into the place of a word that is deleted.
    unread = words.stretches(set(range(len(words.places))).difference(read))
    size = -(-len(read) // _MOST) or 1
    groups = [read[start : start + size] for start in range(0, len(read), size)]
    variants = [[], range(len(words.places)), *groups]
    texts_of = chain([words.without([])], (words.without(group, unread) for group in variants))
    logits = _logits(parts, texts_of, 1 + len(variants), wish.column)
    logit, alone, baseline = logits[:3]
    values: list[float | None] = [None] * len(words.places)
    for group, other in zip(groups, logits[3:], strict=True):
        for word in group:
            values[word] = (alone - other) / len(group)
    of = parts.labels.logit_name(wish.column) + (f", {size} words at a time" if size > 1 else "")
    told = Attributions(np.zeros(0, np.int64), np.zeros(0), logit, baseline, of, _WORDLESS)
    return _explanation(parts, given, 0, wish, "occlusion", words.told(values), 0.0, told, why)


def _read(parts: Parts, given: Texts, words: _Words) -> list[int]:
    """Return the words, by number, that the encoder reads of the one text: all, where it does not tell."""
    encoder, _ = parts.steps
    if not callable(getattr(parts.encoder, "reads", None)):
        return list(range(len(words.places)))
    told = encoder.call("reads", lambda: list(parts.encoder.reads(given, parts.context)))
    if len(told) != len(given):
        raise encoder.error(f"reads tells of {len(told)} texts, where {len(given)} were asked for")
    _demand_places(words, lambda: told[0], parts, "reads")
    touched: list[int] = encoder.call("reads", lambda: words.touched(told[0]))
    return touched


def _logits(parts: Parts, variants: Iterator[tuple[str, ...]], total: int, column: int) -> list[float]:
    """Return the logit of each variant of a text, some of them at a time."""
    found: list[float] = []
    for chunk in _TOGETHER.cut(variants):
        if total > _TOGETHER.texts:
            parts.context.emit(Progress(stage="explain", done=len(found), total=total, unit="deletions"))
        first, *second = ([*column] for column in zip(*chunk, strict=True))
        scores = parts.score(Texts(first, second[0] if second else None))
        found += _logit(scores, column, parts.labels.task == "multi-label").tolist()
    return found


def _logit(scores: NDArray[np.float32], column: int, several: bool) -> NDArray[np.float64]:
    """Return how far a label's logit lies above the mean of the others' (multi-label: above 0)."""
    import numpy as np

    # Probabilities of 0 and 1 are moved in by the resolution of their type.
    edge = float(np.finfo(np.float32).eps)
    likely = np.clip(scores.astype(np.float64), edge, 1.0)
    own: NDArray[np.float64] = np.log(likely[:, column])
    if several or scores.shape[1] == 1:
        return own - np.log(np.clip(1.0 - scores[:, column].astype(np.float64), edge, 1.0))
    others: NDArray[np.float64] = np.delete(np.log(likely), column, axis=1).mean(axis=1)
    return own - others


def _explanation(
    parts: Parts, texts: Texts, row: int, wish: Wish, method: Method, words: tuple[Word, ...], remainder: float,
    told: Attributions, why: str = "",
) -> Explanation:  # fmt: skip
    pair = None if texts.second is None else texts.second[row]
    label = parts.labels.names[wish.column]
    return Explanation(
        texts.first[row], pair, label, wish.score, words, float(told.logit), float(told.baseline), remainder, method,
        told.of, told.against, why,
    )  # fmt: skip


class _Words:
    """The words of a text, or of a pair, and how contributions fall on them."""

    def __init__(self, texts: Texts, row: int) -> None:
        self._texts = [texts.first[row]] if texts.second is None else [texts.first[row], texts.second[row]]
        self._ranges = [words_of(text) for text in self._texts]
        self.places: list[tuple[int, Range]] = [(p, r) for p, ranges in enumerate(self._ranges) for r in ranges]
        self._ends = [[end for _, end in ranges] for ranges in self._ranges]
        self._begun = [0, len(self._ranges[0])]

    def fault_of(self, spans: Iterable[Span]) -> str:
        """Say which of some places is none in these texts, or return an empty string."""
        sizes = [len(text) for text in self._texts]
        for part, start, end in spans:
            if part not in range(len(sizes)):
                return f"({part}, {start}, {end}), where there is no text {part}"
            if not 0 <= start <= end <= sizes[part]:
                return f"({part}, {start}, {end}), which is no place in a text of {counted(sizes[part], 'character')}"
        return ""

    def shared(self, spans: Mapping[int, Sequence[Span]], told: Attributions) -> tuple[list[float | None], float]:
        """Share each unit's value evenly among the places it came from, and each of those among its words.

        Return a value a word, None for those that no unit came from, and the sum of what came from no word.
        """
        values: list[float | None] = [None] * len(self.places)
        remainder = 0.0
        for unit, value in zip(told.units.tolist(), told.values.tolist(), strict=True):
            places = spans.get(unit, ())
            remainder += 0.0 if places else value
            for span in places:
                touched = self._touched(*span)
                part = value / len(places)
                remainder += 0.0 if touched else part
                for word in touched:
                    values[word] = (values[word] or 0.0) + part / len(touched)
        return values, remainder

    def told(self, values: Sequence[float | None]) -> tuple[Word, ...]:
        return tuple(
            Word(self._texts[part][start:end], part, start, end, value or 0.0, value is not None)
            for (part, (start, end)), value in zip(self.places, values, strict=True)
        )

    def touched(self, spans: Iterable[Span]) -> list[int]:
        """Return the words, by number and in order, that have characters in one of some ranges."""
        return sorted({word for span in spans for word in self._touched(*span)})

    def stretches(self, words: Iterable[int]) -> list[tuple[int, Range]]:
        """Return the ranges of some words; those that follow each other are one, with what is between them."""
        found: list[tuple[int, Range]] = []
        last = -1
        for word in sorted(words):
            part, (start, end) = self.places[word]
            if found and word == last + 1 and found[-1][0] == part:
                start = found.pop()[1][0]
            found.append((part, (start, end)))
            last = word
        return found

    def without(self, words: Iterable[int], also: Iterable[tuple[int, Range]] = ()) -> tuple[str, ...]:
        """Return the texts without some words, nor some ranges that are none of theirs."""
        gone = [*also, *(self.places[word] for word in words)]
        return tuple(without(text, (r for p, r in gone if p == part)) for part, text in enumerate(self._texts))

    def _touched(self, part: int, start: int, end: int) -> range:
        """Return the words, by number, that have characters in a range."""
        ranges = self._ranges[part]
        first = last = bisect_right(self._ends[part], start)
        while last < len(ranges) and ranges[last][0] < end:
            last += 1
        return range(self._begun[part] + first, self._begun[part] + last)
