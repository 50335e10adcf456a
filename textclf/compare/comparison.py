"""The Comparison: each metric's difference from the first side, and sentences to quote."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..data.html import Markup, escaped, quoted, table
from ..evaluation.report import finite
from .statistics import McNemar


@dataclass(frozen=True, slots=True)
class Difference:
    """A side's metric, and by how much it exceeds the first side's, with its interval.

    p: corrected for the number of comparisons; of the share of texts decided right, McNemar's where that was made.
    different: the interval leaves out 0, and p is below 0.05.
    """

    value: float
    difference: float
    low: float
    high: float
    p: float = 1.0
    different: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Classifiers or recipes on the same test texts, each against the first.

    runs: what each side is called. metrics: the headline first; for each one Difference a side, the first one's is 0.
    mcnemar: of classifiers, for each but the first: texts that only one of both decides right, p corrected.
    """

    runs: tuple[str, ...]
    metrics: Mapping[str, tuple[Difference, ...]]
    speaks_of: Literal["classifiers", "recipes"]
    contenders: tuple[ComparedSystem, ...]
    mcnemar: tuple[McNemar, ...]
    falling: frozenset[str]
    texts: int
    resampled: Literal["texts", "groups"]
    draws: int
    warnings: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        return next(iter(self.metrics))

    def sentences(self) -> tuple[str, ...]:
        """Return for each side but the first whether it differs in the headline metric, as one can quote it."""
        metric, found = self.headline, self.metrics[self.headline]
        sign = -1 if metric in self.falling else 1
        corrected = "corrected " if len(self.runs) > 2 else ""
        return tuple(
            _sentence(self.runs[0], name, one, metric, sign, corrected)
            for name, one in zip(self.runs[1:], found[1:], strict=True)
        )

    def scope(self) -> str:
        """Say in a sentence what the comparison speaks of, and what it does not."""
        if self.speaks_of == "recipes":
            return f"this speaks of the recipes: it allows for other test {self.resampled} and other training seeds"
        return (
            f"this speaks of these classifiers: it allows for other test {self.resampled}, not for other training "
            f"seeds (for recipes, compare studies: textclf run RECIPE --seeds 3)"
        )

    def __str__(self) -> str:
        return "\n".join(self._said())

    def _repr_html_(self) -> str:
        """Show in a notebook what each metric is of each side, and the sentences."""
        recipes = self.speaks_of == "recipes"
        headers = ("metric", *(("recipe", "mean") if recipes else ("run", "value")), "difference", "95 % interval", "p")
        rows = [
            (quoted(name) if place == 0 else "", quoted(side.label), *_cells(one, place == 0))
            for name, each in self.metrics.items()
            for place, (side, one) in enumerate(zip(self.contenders, each, strict=True))
        ]
        return Markup(table(headers, rows) + "".join(f"<p>{escaped(line)}</p>" for line in self._said()))

    def _said(self) -> tuple[str, ...]:
        return (*self.sentences(), self.scope(), *(f"warning: {warning}" for warning in self.warnings))

    def to_json(self) -> dict[str, Any]:
        about = ("speaks_of", "texts", "resampled", "draws", "warnings")
        sides = [
            {"name": side.name, "folders": [str(folder) for folder in side.folders], "seeds": list(side.seeds)}
            for side in self.contenders
        ]
        metrics = {name: [dataclasses.asdict(one) for one in each] for name, each in self.metrics.items()}
        return finite({
            "format": 1, **{name: getattr(self, name) for name in about}, "runs": sides, "headline": self.headline,
            "metrics": metrics, "mcnemar": [dataclasses.asdict(one) for one in self.mcnemar],
            "sentences": list(self.sentences()),
        })  # fmt: skip


def _cells(one: Difference, first: bool) -> tuple[str, str, str, str]:
    """Return a side's value and, of all but the first, its difference, the interval and p."""
    value = "undefined" if math.isnan(one.value) else f"{one.value:.4f}"
    if first:
        return value, "", "", ""
    if math.isnan(one.low):
        return value, "undefined", "", ""
    p = "<0.0001" if one.p < 1e-4 else f"{one.p:.4f}"
    return value, f"{one.difference:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}", p


def _sentence(first: str, other: str, one: Difference, metric: str, sign: int, corrected: str) -> str:
    if not one.different:
        said = _fixed(one.difference, one.low, one.high, signed=True)
        p = "undefined" if math.isnan(one.p) else "below 0.0001" if one.p < 1e-4 else f"{one.p:.2g}"
        return (
            f"no evidence of a difference between {first} and {other} in {metric}: {said[0]} "
            f"(95 % interval {said[1]} to {said[2]}, {corrected}p {p})"
        )
    better, worse = (other, first) if sign * one.difference > 0 else (first, other)
    low, high = sorted((abs(one.low), abs(one.high)))
    gap, low_said, high_said = _fixed(abs(one.difference), low, high)
    return f"{better} is better than {worse} by {gap} (95 % interval {low_said} to {high_said}) in {metric}"


def _fixed(*numbers: float, signed: bool = False) -> list[str]:
    """Write numbers with three digits, or with so many that none but 0 reads as 0."""
    shown = [n for n in numbers if n and math.isfinite(n)]
    digits = next((d for d in (3, 4, 5) if all(round(abs(n), d) for n in shown)), 6)
    return ["undefined" if math.isnan(n) else f"{n:{'+' if signed else ''}.{digits}f}" for n in numbers]


@dataclass(frozen=True, slots=True)
class ComparedSystem:
    """One run, which stands for its classifier, or several seeds' runs, which stand for their recipe."""

    name: str
    folders: tuple[Path, ...]
    seeds: tuple[int, ...]

    @property
    def label(self) -> str:
        return self.name if len(self.folders) == 1 else f"{self.name} ({len(self.folders)} seeds)"
