"""The Report of a run and the Summary of a study, and their JSON form."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..data.html import escaped, quoted, table
from ..errors import ArtefactError, counted
from ..files import read_json, write_text

FILE = "metrics.json"
SUMMARY_FILE = "summary.json"
_LABELS = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric on the test split with its bootstrap interval; NaN where it is not defined."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.4f}"
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """Precision, recall, F1 and support of one label, or of an average over labels."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound of the recipe that the lower end of a metric's interval must reach."""

    metric: str
    bound: float
    low: float
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run found, on its test split only.

    metrics: the recipe's, headline first. baseline: the same metrics of always answering the commonest training label.
    sizes: texts a split. split: what the split saw (duplicates kept together, groups, leaks). stages: seconds a stage.
    accounts: where the time of a stage went, as the event Accounted tells it. tokens_per_second: of the training.
    objectives: what was learned before the labels, by name: epochs, and the mean loss in the first and last of them.
    """

    name: str
    task: Literal["single-label", "multi-label"]
    labels: tuple[str, ...]
    sizes: Mapping[str, int]
    metrics: Mapping[str, Estimate]
    baseline: Mapping[str, float]
    log_loss: float
    per_label: tuple[LabelRow, ...]
    averages: tuple[LabelRow, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    validation: Mapping[str, float] = field(default_factory=dict)
    coverage: float = 1.0
    draws: int = 2000
    resampled: Literal["texts", "groups"] = "texts"
    gates: tuple[Gate, ...] = ()
    split: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    tokens_per_second: float | None = None
    accounts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    objectives: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        return next(iter(self.metrics))

    def __repr__(self) -> str:
        return f"<Report {self.brief()} on {self.tested_on}>"

    def brief(self) -> str:
        """Return "toys: accuracy 0.9000 (0.8000 to 1.0000)": the name and the headline."""
        return f"{self.name}: {_headline(self.metrics)}"

    @property
    def tested_on(self) -> str:
        """What the numbers are of: a run splits its texts, an evaluation is given some to be judged by."""
        return "the test split" if "train" in self.sizes else "these texts"

    def _repr_html_(self) -> str:
        """Show the metrics and the labels in a notebook; `console` and the output `html` show more."""
        metrics = [
            (name, _shown(value.value), _between(value), _shown(self.baseline.get(name)))
            for name, value in self.metrics.items()
        ]
        rows = self.per_label if len(self.per_label) <= _LABELS else ()
        labels = [(quoted(r.label), *map(_shown, (r.precision, r.recall, r.f1)), f"{r.support:,}") for r in rows]
        sizes = ", ".join(f"{size:,} {name}" for name, size in self.sizes.items())
        return (
            f"<p><strong>{escaped(self.name)}</strong>: {len(self.labels):,} labels; texts: {escaped(sizes)}</p>"
            + table((f"on {self.tested_on}", "value", "95 % interval", "baseline"), metrics)
            + (table(("label", "precision", "recall", "F1", "texts"), labels) if labels else "")
        )

    def to_json(self) -> dict[str, Any]:
        return finite({"format": 1, **dataclasses.asdict(self)})

    def save(self, folder: Path) -> None:
        write_text(folder / FILE, json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Report:
        return cls.from_json(read_json(folder / FILE))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Report:
        """Read what `to_json` wrote; numbers that were not finite come back as NaN."""
        known = {f.name for f in dataclasses.fields(cls)}
        try:
            given = {key: value for key, value in values.items() if key in known}
            given["metrics"] = {k: _estimate(v) for k, v in given["metrics"].items()}
            given["baseline"] = {k: _number(v) for k, v in given["baseline"].items()}
            given["log_loss"] = _number(given.get("log_loss"))
            given["validation"] = {k: _number(v) for k, v in given.get("validation", {}).items()}
            for rows in ("per_label", "averages"):
                given[rows] = tuple(LabelRow(**row) for row in given[rows])
            given["gates"] = tuple(Gate(**{**gate, "low": _number(gate["low"])}) for gate in given.get("gates", ()))
            given["confusion"] = given["confusion"] and tuple(tuple(row) for row in given["confusion"])
            return cls(**{**given, "labels": tuple(given["labels"]), "warnings": tuple(given.get("warnings", ()))})
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(f"the report is not one of textclf's: {error}") from None


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over the members of a study: mean, standard deviation, and the interval of the mean."""

    mean: float
    deviation: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.deviation:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a study: what tells it from the others ("seed 1", "fold 2"), its folder and its metrics."""

    label: str
    folder: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a study of several seeds or folds found."""

    name: str
    members: tuple[Member, ...]
    metrics: Mapping[str, Spread]
    warnings: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        return next(iter(self.metrics))

    def __repr__(self) -> str:
        return f"<Summary {self.brief()}>"

    def brief(self) -> str:
        """As of a Report, of so many runs."""
        return f"{self.name}: {counted(len(self.members), 'run')}, {_headline(self.metrics)}"

    def _repr_html_(self) -> str:
        names = list(self.metrics)
        rows = [(member.label, *(_shown(member.metrics.get(name)) for name in names)) for member in self.members]
        rows.append(("mean", *(_shown(spread.mean) for spread in self.metrics.values())))
        rows.append(("deviation", *(_shown(spread.deviation) for spread in self.metrics.values())))
        rows.append(("95 % interval", *(_between(spread) for spread in self.metrics.values())))
        return f"<p><strong>{escaped(self.name)}</strong>: {len(self.members)} runs</p>" + "".join(
            [table(("", *names), rows), *(f"<p>warning: {escaped(warning)}</p>" for warning in self.warnings)]
        )

    def to_json(self) -> dict[str, Any]:
        return finite({"format": 1, **dataclasses.asdict(self)})

    def save(self, folder: Path) -> None:
        write_text(folder / SUMMARY_FILE, json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Summary:
        values = read_json(folder / SUMMARY_FILE)
        try:
            members = tuple(Member(**member) for member in values["members"])
            spreads = {k: Spread(**{f: _number(n) for f, n in v.items()}) for k, v in values["metrics"].items()}
            warnings = tuple(values.get("warnings", ()))
            return cls(name=values["name"], members=members, metrics=spreads, warnings=warnings)
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(f"{folder / SUMMARY_FILE} is not a summary of textclf's: {error}") from None


def _headline(metrics: Mapping[str, Estimate | Spread]) -> str:
    return next((f"{name} {value}" for name, value in metrics.items()), "no metric")


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON-ready values: NaN and infinities become null, and are named under "undefined" at the top."""
    undefined: list[str] = []
    clean: dict[str, Any] = _finite(values, "", undefined)
    if undefined:
        clean["undefined"] = undefined
    return clean


def _finite(value: Any, path: str, undefined: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v, f"{path}.{k}" if path else str(k), undefined) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v, f"{path}.{i}", undefined) for i, v in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        undefined.append(path)
        return None
    return value


def _estimate(values: Mapping[str, Any]) -> Estimate:
    return Estimate(_number(values["value"]), _number(values["low"]), _number(values["high"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _shown(value: float | None) -> str:
    return "" if value is None else "undefined" if math.isnan(value) else f"{value:.4f}"


def _between(value: Estimate | Spread) -> str:
    return "" if math.isnan(value.low) else f"{value.low:.4f} to {value.high:.4f}"
