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
from ..errors import PluginError, RecipeError, counted, did_you_mean, listing, type_name
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
    before, at = "", 0
    pieces = []
    for start, end in sorted(ranges):
        pieces.append(text[at:start])
        before, at = pieces[-1] or before, end
        if at < len(text) and text[at].isspace() and (not before or before[-1].isspace()):
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


RequestedMethod = Literal["auto", "exact", "gradients", "occlusion"]
METHODS: tuple[RequestedMethod, ...] = get_args(RequestedMethod)
# Texts that are scored to explain one by occlusion, at most: of longer ones, runs of words are deleted together.
_MOST = 512
# So many of them are scored at once, so that progress can be shown.
_TOGETHER = Window(texts=64)
_WORDLESS = "a text without words"


@dataclass(frozen=True, slots=True)
class ExplainInputs:
    """The parts of a classifier, and its function that scores cleaned texts."""

    labels: Labels
    encoder: Any
    model: Any
    steps: tuple[Step[Any], Step[Any]]
    score: Callable[[Texts], NDArray[np.float32]]
    context: Any


@dataclass(frozen=True, slots=True)
class ExplanationRequest:
    """A text, by its row, and the column of the label to explain, with its score."""

    row: int
    column: int
    score: float


def checked_method(method: str, place: str = "method") -> RequestedMethod:
    """Return the name of a method; a RecipeError where it is none."""
    if not isinstance(method, str):
        raise RecipeError(f"{place} is a str, not {type_name(method)} (known: {listing(METHODS)})")
    if method not in METHODS:
        raise RecipeError(f"{place}: '{method}' is unknown{did_you_mean(method, METHODS)} (known: {listing(METHODS)})")
    return method


def explain(
    parts: ExplainInputs, texts: Texts, requests: Sequence[ExplanationRequest], requested: RequestedMethod
) -> list[Explanation]:
    """Return one explanation for each request.

    `auto` uses the attributions of the model where encoder and model offer them, and deletes words where not.
    """
    why_not = "as requested" if requested == "occlusion" else _why_not(parts)
    if why_not and requested not in ("auto", "occlusion"):
        raise RecipeError(f"method '{requested}': {why_not}; use auto or occlusion")
    if why_not:
        # Only networks are expected to have attributions: other encoders need no `spans`.
        expected = requested == "auto" and parts.steps[0].traits.makes == "tokens"
        return [_occluded(parts, texts, request, why_not if expected else "") for request in requests]
    method: Method = parts.steps[1].call("explains_by", lambda: parts.model.explains_by)
    if requested not in ("auto", method):
        known = f"{parts.steps[1]} is explained by '{method}'"
        raise RecipeError(f"method '{requested}': {known}; use auto, {method} or occlusion")
    return _attributed(parts, texts, requests, method)


def _why_not(parts: ExplainInputs) -> str:
    """Return why encoder and model offer no attributions of words, or ""."""
    encoder, trainer = parts.steps
    if not callable(getattr(parts.encoder, "spans", None)):
        return f"{encoder} does not return where in a text its features come from (spans)"
    if not callable(getattr(parts.model, "attributions", None)):
        return f"{trainer} does not return what its features contribute (attributions)"
    opaque = getattr(parts.model, "opaque", None)
    return trainer.call("opaque", opaque) if callable(opaque) else ""


def _attributed(
    parts: ExplainInputs, texts: Texts, requests: Sequence[ExplanationRequest], method: Method
) -> list[Explanation]:
    import numpy as np

    encoder, trainer = parts.steps
    chosen = texts.take([request.row for request in requests])
    columns = np.array([request.column for request in requests], np.int64)
    features = encoder.call("encode", lambda: parts.encoder.encode(chosen, parts.context))
    spans = encoder.call("spans", lambda: list(parts.encoder.spans(chosen, parts.context)))
    found = trainer.call("attributions", lambda: list(parts.model.attributions(features, columns, parts.context)))
    if len(spans) != len(chosen) or len(found) != len(chosen):
        counts = f"{encoder} returns the spans of {len(spans)} texts and {trainer} attributions of {len(found)}"
        raise PluginError(f"{counts} for {len(chosen)} texts")
    explained = []
    for row, (request, places, attributions) in enumerate(zip(requests, spans, found, strict=True)):
        words = _Words(chosen, row)
        _validate_attributions(attributions, trainer)
        _validate_spans(words, partial(chain.from_iterable, places.values()), parts, "spans")
        values, remainder = encoder.call("spans", partial(words.shared, places, attributions))
        shown = words.with_values(values)
        explained.append(_explanation(parts, chosen, row, request, method, shown, remainder, attributions))
    return explained


def _validate_spans(words: _Words, spans: Callable[[], Iterable[Span]], parts: ExplainInputs, method: str) -> None:
    """Raise a PluginError where a method of the encoder returns a span outside of the text."""
    encoder, _ = parts.steps
    wrong = encoder.call(method, lambda: words.wrong_span(spans()))
    if wrong:
        raise encoder.error(f"{method} returns {wrong}")


def _validate_attributions(attributions: object, trainer: Step[Any]) -> None:
    import numpy as np

    if not isinstance(attributions, Attributions):
        raise trainer.error(f"attributions returned {type_name(attributions)} for a text, not textclf.Attributions")
    numbers = [*attributions.values, attributions.logit, attributions.baseline]
    if len(attributions.units) != len(attributions.values) or not np.isfinite(numbers).all():
        raise trainer.error("attributions are NaN or infinite, or not one for each unit")


def _occluded(parts: ExplainInputs, texts: Texts, request: ExplanationRequest, why: str) -> Explanation:
    """Explain by what deleting each word that is read changes; `why`: the reason, if it is to be shown."""
    import numpy as np

    chosen = texts.take([request.row])
    words = _Words(chosen, 0)
    read = _read(parts, chosen, words)
    # All texts are scored without what is not read: nothing is to move up into the place of a word that is deleted.
    unread = words.stretches(set(range(len(words.places))).difference(read))
    size = -(-len(read) // _MOST) or 1
    groups = [read[start : start + size] for start in range(0, len(read), size)]
    variants = [[], range(len(words.places)), *groups]
    texts_of = chain([words.without([])], (words.without(group, unread) for group in variants))
    logits = _logits(parts, texts_of, 1 + len(variants), request.column)
    logit, alone, baseline = logits[:3]
    values: list[float | None] = [None] * len(words.places)
    for group, other in zip(groups, logits[3:], strict=True):
        for word in group:
            values[word] = (alone - other) / len(group)
    of = parts.labels.logit_name(request.column) + (f", {size} words at a time" if size > 1 else "")
    nothing = Attributions(np.zeros(0, np.int64), np.zeros(0), logit, baseline, of, _WORDLESS)
    return _explanation(parts, chosen, 0, request, "occlusion", words.with_values(values), 0.0, nothing, why)


def _read(parts: ExplainInputs, text: Texts, words: _Words) -> list[int]:
    """Return the words, by number, that the encoder reads of the one text: all, where it has no `reads`."""
    encoder, _ = parts.steps
    if not callable(getattr(parts.encoder, "reads", None)):
        return list(range(len(words.places)))
    spans = encoder.call("reads", lambda: list(parts.encoder.reads(text, parts.context)))
    if len(spans) != len(text):
        raise encoder.error(f"reads returns spans of {len(spans)} texts for {len(text)} texts")
    _validate_spans(words, lambda: spans[0], parts, "reads")
    touched: list[int] = encoder.call("reads", lambda: words.touched(spans[0]))
    return touched


def _logits(parts: ExplainInputs, variants: Iterator[tuple[str, ...]], total: int, column: int) -> list[float]:
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
    parts: ExplainInputs,
    texts: Texts,
    row: int,
    request: ExplanationRequest,
    method: Method,
    words: tuple[Word, ...],
    remainder: float,
    attributions: Attributions,
    why: str = "",
) -> Explanation:
    pair = None if texts.second is None else texts.second[row]
    label = parts.labels.names[request.column]
    return Explanation(
        texts.first[row], pair, label, request.score, words, float(attributions.logit), float(attributions.baseline),
        remainder, method, attributions.of, attributions.against, why,
    )  # fmt: skip


class _Words:
    """The words of a text, or of a pair, and how contributions fall on them."""

    def __init__(self, texts: Texts, row: int) -> None:
        self._texts = [texts.first[row]] if texts.second is None else [texts.first[row], texts.second[row]]
        self._ranges = [words_of(text) for text in self._texts]
        self.places: list[tuple[int, Range]] = [(p, r) for p, ranges in enumerate(self._ranges) for r in ranges]
        self._ends = [[end for _, end in ranges] for ranges in self._ranges]
        self._begun = [0, len(self._ranges[0])]

    def wrong_span(self, spans: Iterable[Span]) -> str:
        """Return the first span that is outside of these texts, in words, or ""."""
        sizes = [len(text) for text in self._texts]
        for part, start, end in spans:
            if part not in range(len(sizes)):
                return f"({part}, {start}, {end}), where there is no text {part}"
            if not 0 <= start <= end <= sizes[part]:
                return f"({part}, {start}, {end}), outside of a text of {counted(sizes[part], 'character')}"
        return ""

    def shared(
        self, spans: Mapping[int, Sequence[Span]], attributions: Attributions
    ) -> tuple[list[float | None], float]:
        """Share each unit's value evenly among the places it came from, and each of those among its words.

        Return a value a word, None for those that no unit came from, and the sum of what came from no word.
        """
        values: list[float | None] = [None] * len(self.places)
        remainder = 0.0
        for unit, value in zip(attributions.units.tolist(), attributions.values.tolist(), strict=True):
            places = spans.get(unit, ())
            remainder += 0.0 if places else value
            for span in places:
                touched = self._touched(*span)
                part = value / len(places)
                remainder += 0.0 if touched else part
                for word in touched:
                    values[word] = (values[word] or 0.0) + part / len(touched)
        return values, remainder

    def with_values(self, values: Sequence[float | None]) -> tuple[Word, ...]:
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
