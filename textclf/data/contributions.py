"""Owns what explanations are made of: what units of features contributed, and what the words of a text did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["exact", "gradients", "occlusion"]
# Where a unit of features came from: which text of a pair (0 or 1), its first character, the one behind its last.
Span = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Attributions:
    """What each unit of one text's features contributed to the logit of one label.

    units: int64[k], positions in the text's row of Tokens, or columns of a matrix: all that the model read of it.
    values: float64[k]. logit, baseline: of the text, and of a text without any unit; the values add up to their
    difference, but for an error. of: what the logit is. against: what the baseline is.
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

    start, end: its characters in the text. seen: whether the model knows and read it; what was cut off, or is no
    word of the model's vocabulary, contributed nothing.
    """

    text: str
    part: int
    start: int
    end: int
    contribution: float
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each word of a text contributed to the logit of a label.

    text, pair: as the classifier reads them, after its cleaning. score: the label's probability. of: what `logit` is.
    against: what `baseline` is. remainder: contributions of what is in no word, such as spaces. why: what a network's
    encoder or trainer lacks, where words were deleted for want of it.
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

        Exact weights and integrated gradients are complete, so it says how well they were computed; words that were
        deleted one by one need not add up, so there it is a gap that says how much words work together.
        """
        return self.logit - self.baseline - self.remainder - sum(word.contribution for word in self.words)

    @property
    def tolerable(self) -> bool:
        """Tell whether the error is at most a hundredth of the difference (or of 1); of occlusion it says nothing."""
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
        telling = [word for word in self.words if word.contribution]
        return sorted(telling, key=lambda word: -abs(word.contribution))[:count]

    def to_json(self) -> dict[str, Any]:
        """Return the explanation's stable JSON form."""
        names = ("text", "pair", "label", "score", "logit", "baseline", "remainder", "error", "method", "of", "against")
        parts = ("text", "part", "start", "end", "contribution", "seen")
        words = [{name: getattr(word, name) for name in parts} for word in self.words]
        return {**{name: getattr(self, name) for name in (*names, "why")}, "words": words}
