"""Owns what a reader must know before believing the figures: how few texts, what the baseline says, each warning."""

from __future__ import annotations

import math
from collections.abc import Iterator

from textclf import Report, quoted

from .drawing import short

_FEW, _FEW_OF_A_LABEL, _NAMED = 100, 10, 8


def verdict(report: Report) -> str:
    """Return the run's headline as a sentence."""
    estimate = report.metrics[report.headline]
    texts = report.sizes.get("test", 0)
    between = "" if math.isnan(estimate.low) else f" (95 % interval {estimate.low:.4f} to {estimate.high:.4f})"
    said = f"{report.headline} is {fixed(estimate.value)}{between} on {texts:,} test text{'' if texts == 1 else 's'}."
    baseline = report.baseline.get(report.headline, math.nan)
    if not math.isnan(baseline):
        said += f" The baseline, which only knows how common each label is, reaches {baseline:.4f}."
    return said


def remarks(report: Report) -> list[str]:
    """Return the cautions that the numbers call for, then the gates and the warnings of the run."""
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
            f"it says less than there is to doubt."
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
