"""A report is read back as it was written, and what is not defined is null and named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.toys import engine, recipe
from textclf import ArtefactError, Report
from textclf.evaluation.report import Estimate, Spread, Summary, finite


def report() -> Report:
    found = engine().run(recipe()).report
    assert isinstance(found, Report)
    return found


def test_numbers_that_are_none_are_null_and_named(tmp_path: Path) -> None:
    """X04: NaN in JSON: null and a flag."""
    written = replace(report(), log_loss=math.inf, metrics={"m": Estimate(math.nan)})
    written.save(tmp_path)
    values = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert values["undefined"] == ["metrics.m.value", "metrics.m.low", "metrics.m.high", "log_loss"]
    assert values["metrics"]["m"] == {"value": None, "low": None, "high": None}
    back = Report.load(tmp_path)
    assert math.isnan(back.metrics["m"].value)
    assert math.isnan(back.log_loss)


def test_finite_values_are_left_alone() -> None:
    assert finite({"a": [1, (2.5, None)], 3: "x"}) == {"a": [1, [2.5, None]], "3": "x"}


def test_a_report_comes_back_as_it_was(tmp_path: Path) -> None:
    written = report()
    written.save(tmp_path)
    assert Report.load(tmp_path) == written
    assert (written.headline, str(Estimate(0.5, 0.25, 0.75))) == ("toy_accuracy", "0.5000 (0.2500 to 0.7500)")
    assert str(Estimate(0.5)) == "0.5000"


@pytest.mark.parametrize("text", ["{}", "[]", '{"metrics": 5}', '{"metrics": {"m": 1}}'])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(ArtefactError, match="not"):
        Report.load(tmp_path)
    with pytest.raises(ArtefactError, match="is not a summary of textclf's"):
        Summary.load(tmp_path)


def test_a_spread_is_written_with_its_interval() -> None:
    assert str(Spread(0.5, 0.1, 0.4, 0.6)) == "0.5000 ± 0.1000 (0.4000 to 0.6000)"
