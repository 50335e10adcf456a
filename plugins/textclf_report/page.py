"""The page: what the template shows of a finished run, escaped, with notes for the reader."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
import yaml

from textclf import Finished, Markup, Predictions, Report, quoted, visible

from . import measures
from .charts import (
    LIMIT,
    METRICS_TITLE,
    History,
    brief,
    length_figure,
    loss_figure,
    loss_title,
    matrix_figure,
    metric_figure,
    phases_of,
    reliability_figure,
    score_figure,
    short,
)

_FEW, _FEW_OF_A_LABEL, _NAMED = 100, 10, 8
# Characters of a long text that are shown at once, and behind a fold; predictions.csv has all of it.
SHOWN, FOLDED = 600, 20_000
_LABELS, _CONFUSIONS, _LONGEST = 30, 20, 60


def render(finished: Finished, record: Mapping[str, Any], most: int) -> str:
    """Return the page as HTML; `most` mistakes are shown. The same run gives the same page."""
    report, predictions = finished.report, finished.predictions
    style = _resource("style.css")
    several = report.task == "multi-label"
    keeps_texts = bool((finished.recipe.get("report") or {}).get("texts", True))
    values = {
        "style": Markup(style),
        "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "report": report,
        "several": several,
        "verdict": verdict(report),
        "notes": notes(report),
        "labels": _labels(report),
        "label_limit": _LABELS,
        "hits": _hits(predictions) if several else None,
        "phases": _phases(finished.history),
        "confusion": _confusion(report),
        "outcomes": _outcomes(predictions, several),
        "lengths": _lengths(predictions, several),
        "mistakes": _mistakes(predictions, most),
        "wrong": _wrong(predictions),
        "keeps_texts": keeps_texts,
        "shown": SHOWN,
        "folded": FOLDED,
        "recipe": _recipe(finished.recipe),
        "record": record,
        "facts": _facts(report, record),
    }
    return _templates().get_template("page.html").render(values)


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource), autoescape=True, undefined=jinja2.StrictUndefined, finalize=_seen,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(fixed=fixed, brief=brief, label=_label, percent=_percent)
    return environment


def _seen(value: Any) -> Any:
    """Make control characters visible in what the template shows; markup was checked where it was made."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _label(name: str) -> str:
    return short(quoted(name), _LONGEST)


def _percent(share: float) -> str:
    return "undefined" if math.isnan(share) else f"{100 * share:.1f} %"


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def verdict(report: Report) -> str:
    """Return the run's headline as a sentence."""
    estimate = report.metrics[report.headline]
    texts = report.sizes.get("test", 0)
    between = "" if math.isnan(estimate.low) else f" (95 % interval {estimate.low:.4f} to {estimate.high:.4f})"
    plural = "" if texts == 1 else "s"
    sentence = f"{report.headline} is {fixed(estimate.value)}{between} on {texts:,} test text{plural}."
    baseline = report.baseline.get(report.headline, math.nan)
    if not math.isnan(baseline):
        sentence += f" The baseline, which only knows how common each label is, reaches {baseline:.4f}."
    return sentence


def notes(report: Report) -> list[str]:
    """Return cautions about the numbers, then the gates and the warnings of the run."""
    return [*_cautions(report), *_gates(report), *(f"Warned in the run: {warning}" for warning in report.warnings)]


def fixed(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}"


def _cautions(report: Report) -> Iterator[str]:
    texts = report.sizes.get("test", 0)
    if 0 < texts < _FEW:
        yield (
            f"Few test texts, {texts}: one right or wrong moves accuracy by {100 / texts:.1f} points. "
            f"Read every figure here with its interval."
        )
    headline, baseline = report.metrics[report.headline], report.baseline.get(report.headline, math.nan)
    if headline.low == headline.high:
        yield (
            f"The interval of {report.headline} has no width, since each draw from these texts gives the same value: "
            f"the uncertainty is larger than it shows."
        )
    if headline.low <= baseline <= headline.high:
        yield (
            f"The baseline's {report.headline} lies inside the interval: these texts do not show that the classifier "
            f"is better than it."
        )
    few = [row for row in report.per_label if row.support < _FEW_OF_A_LABEL]
    if few:
        named = ", ".join(f"{short(quoted(row.label), 40)} ({row.support})" for row in few[:_NAMED])
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        yield f"Labels with fewer than {_FEW_OF_A_LABEL} test texts, of which little can be said: {named}{more}."
    if report.coverage < 1:
        yield (
            f"The classifier gave {100 * (1 - report.coverage):.1f} % of the texts no label, since its score was too "
            f"low; they are left out of calibration, scores and mistakes, and are not right elsewhere."
        )
    if report.resampled == "groups":
        yield "Intervals are drawn over groups of texts, since texts of one group are alike."


def _gates(report: Report) -> Iterator[str]:
    for gate in report.gates:
        met = "is met" if gate.met else "is not met"
        yield (
            f"The gate {gate.metric} of at least {gate.bound:g} {met}: the interval's lower end is {fixed(gate.low)}."
        )


def _labels(report: Report) -> Sequence[Any]:
    rows = report.per_label
    return rows if len(rows) <= _LABELS else sorted(rows, key=lambda row: row.f1)[:_LABELS]


def _hits(predictions: Predictions) -> Mapping[str, tuple[int, int, int]]:
    """Return for each label how often it was found, missed, and predicted wrongly."""
    counts = predictions.counts()
    columns = zip(counts.hits, counts.support - counts.hits, counts.predicted - counts.hits, strict=True)
    return {
        name: (int(found), int(missed), int(wrong))
        for name, (found, missed, wrong) in zip(predictions.labels.names, columns, strict=True)
    }


def _phases(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [_phase(history, place) for place, history in enumerate(phases_of(events))]


def _phase(history: History, place: int) -> Mapping[str, Any]:
    curves = [*history.losses, *history.metrics]
    drawn = (loss_title(history), loss_figure(history, place)), (METRICS_TITLE, metric_figure(history, place))
    rows = [[curve.values[row] for curve in curves] for row in range(len(history.epochs))]
    return {
        "objective": history.objective,
        "figures": [(title, figure) for title, figure in drawn if figure is not None],
        "names": [curve.name for curve in curves],
        "rows": list(zip(history.epochs, rows, strict=True)),
        "chosen": history.chosen,
        "sentence": _chosen(history),
    }


def _chosen(history: History) -> str:
    if history.objective:
        return f"Before the labels the network learned {history.objective} from texts alone."
    if history.chosen is None:
        return "No epoch was chosen: without validation texts the model is that of the last one."
    if len(history.epochs) == 1:
        return "There was one epoch."
    return f"The model is that of epoch {history.chosen}, the best on validation texts."


def _confusion(report: Report) -> Mapping[str, Any] | None:
    if not report.confusion:
        return None
    drawn = len(report.labels) <= LIMIT
    return {
        "figure": matrix_figure(report.labels, report.confusion) if drawn else None,
        "matrix": report.confusion,
        "without": len(report.confusion[0]) > len(report.labels),
        "names": report.labels,
        "worst": measures.confusions(report.confusion, (*report.labels, "no label"), _CONFUSIONS),
    }


def _outcomes(predictions: Predictions, several: bool) -> Mapping[str, Any] | None:
    found = measures.outcomes(predictions)
    if len(found.score) == 0:
        return None
    calibrated, counted = measures.calibration(found), measures.histogram(found)
    return {
        "calibration": calibrated,
        "histogram": counted,
        "total": len(found.score),
        "reliability": reliability_figure(calibrated, several=several),
        "scores": score_figure(counted, several=several),
    }


def _lengths(predictions: Predictions, several: bool) -> Mapping[str, Any] | None:
    unit, bins = measures.by_length(predictions)
    if not bins:
        return None
    overall = float(measures.right(predictions).mean())
    figure = length_figure(unit, bins, overall, several=several)
    return {"unit": unit, "bins": bins, "overall": overall, "figure": figure}


def _mistakes(predictions: Predictions, most: int) -> list[measures.Mistake]:
    return measures.mistakes(predictions, most)


def _wrong(predictions: Predictions) -> int:
    """Return how many texts got a wrong label; an abstention is none."""
    answered = predictions.predicted >= 0 if predictions.predicted.ndim == 1 else True
    return int((answered & ~measures.right(predictions)).sum())


def _recipe(recipe: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(recipe, default=str))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def _facts(report: Report, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return facts about data, time and machine, as (name, value)."""
    data, machine = record.get("data") or {}, record.get("machine") or {}
    versions = {**(record.get("versions") or {}), **(record.get("plugins") or {})}
    facts = [
        ("source of the texts", data.get("source")),
        ("licence of the texts", data.get("licence")),
        *((f"split: {str(name).replace('_', ' ')}", _plain(value)) for name, value in report.split.items()),
        ("run", record.get("id")),
        ("started", record.get("started")),
        *((f"seconds to {stage}", f"{seconds:.1f}") for stage, seconds in report.stages.items()),
        ("tokens a second in training", brief(report.tokens_per_second) if report.tokens_per_second else None),
        *((f"chosen: {what}", _plain(choice)) for what, choice in report.choices.items()),
        ("system", machine.get("system")),
        ("Python", machine.get("python")),
        ("processor cores", machine.get("cores")),
        *((str(name), version) for name, version in versions.items()),
    ]
    return [(what, str(value)) for what, value in facts if value not in (None, "")]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
