"""Studies: several seeds or folds, each an ordinary run, that can be interrupted like one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toys import Stopping, contents, engine, plugin, recipe
from textclf import ArtefactError, RecipeError, Result, Stopped
from textclf.evaluation.report import Summary
from textclf.run.study import MemberPlan, members
from textclf.tables.reader import read_table
from textclf.testing.toy import LinearOptions, ToyLinear

NOISY = {"dataset": {"use": "toy_texts", "size": 60, "labels": 3}, "trainer": {"use": "toy_linear", "epochs": 1}}


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text("utf-8"))  # type: ignore[no-any-return]


def ids(result: Result) -> list[str]:
    with read_table(result.folder / "predictions.csv") as table:
        return [row.text("id") for row in table]


def test_a_recipe_asks_for_one_run_or_each_seed_and_fold() -> None:
    def planned(**changes: Any) -> list[MemberPlan]:
        return members(engine().plan(recipe(**changes)).settings)

    assert [(m.seed, m.fold) for m in planned(seed=5)] == [(5, None)]
    both = planned(seeds=[1, 2], split={"folds": 2})
    assert [(m.seed, m.fold) for m in both] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert [m.label(2) for m in both][:2] == ["fold 1 seed 1", "fold 2 seed 1"]
    assert [m.label(1) for m in planned(split={"folds": 2})] == ["fold 1", "fold 2"]


def test_seeds_share_their_test_texts_and_are_the_runs_of_those_seeds() -> None:
    done = engine().run(recipe(**NOISY, seeds=[1, 2, 3]))
    assert isinstance(done.report, Summary)
    assert [m.label for m in done.report.members] == ["seed 1", "seed 2", "seed 3"]
    assert ids(done.members[0]) == ids(done.members[1]) == ids(done.members[2])
    alone = engine(runs="alone").run(recipe(**NOISY, seed=2))
    assert contents(alone) == contents(done.members[1])
    values = [m.report.metrics["toy_accuracy"].value for m in done.members]  # type: ignore[union-attr]
    spread = done.report.metrics["toy_accuracy"]
    assert (spread.mean, spread.deviation) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert spread.low <= spread.mean <= spread.high
    assert done.report.warnings == ()
    assert Summary.load(done.folder) == done.report
    with pytest.raises(ArtefactError, match="members"):
        _ = done.classifier


@pytest.mark.parametrize("folds", [None, 2])
def test_a_study_whose_seeds_change_nothing_says_so(folds: int | None) -> None:
    class Constant(ToyLinear):
        def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
            return super().train(encoder, train, validation, labels, replace(context, seed=0))

    constant = plugin("trainer", "constant", lambda: Constant(LinearOptions(epochs=1)))
    asked = {"dataset": NOISY["dataset"], "trainer": "constant", "split": {"folds": folds} if folds else None}
    done = engine(constant).run(recipe(**asked, seeds=[1, 2]))
    said = "the runs of 'toy' agree in every score: training by this recipe does not depend on the seed"
    assert done.report.warnings == (said,)
    assert Summary.load(done.folder) == done.report  # type: ignore[arg-type]
    assert f"<p>warning: {said.replace(chr(39), '&#x27;')}</p>" in done.report._repr_html_()
    alone = engine(constant).run(recipe(**{**asked, "split": {"folds": 2}}))
    assert alone.report.warnings == (), "of one seed nothing can be said"


def test_each_text_is_tested_in_one_fold() -> None:
    done = engine().run(recipe(split={"folds": 3}))
    tested = [i for member in done.members for i in ids(member)]
    assert sorted(map(int, tested)) == list(range(40))


@pytest.mark.parametrize("after", [2, 8, 20])
def test_an_interrupted_study_goes_on_where_it_was(after: int) -> None:
    changes = {"seeds": [1, 2], "trainer": {"use": "toy_linear", "epochs": 12}}
    whole = engine(runs="whole").run(recipe(**changes))
    with pytest.raises(Stopped):
        engine(stopping=Stopping(after)).run(recipe(**changes))
    [study] = [p for p in Path("runs/toy").iterdir() if record(p).get("kind") == "study"]
    assert record(study)["state"] == "interrupted"
    shutil.move("runs", "moved")
    done = engine(runs="moved").resume("toy")
    assert [contents(m) for m in done.members] == [contents(m) for m in whole.members]
    assert done.report.metrics == whole.report.metrics
    assert record(done.folder)["state"] == "finished"
    assert engine(runs="moved").resume(done.folder).report == done.report


@pytest.mark.parametrize(
    ("state", "way"), [("interrupted", "`textclf resume {}`"), ("finished", "run the recipe again")]
)
def test_a_study_without_a_whole_run_says_how_there_would_be_one(state: str, way: str) -> None:
    done = engine().run(recipe(seeds=[1, 2]))
    (done.folder / "record.json").write_text(json.dumps({**record(done.folder), "state": state}))
    for member in done.members:
        (member.folder / "record.json").write_text("{}")
    with pytest.raises(ArtefactError) as error:
        engine().load(done.folder)
    said = f"{done.folder} is a study, and none of its 2 runs is finished: {way.format(done.folder)}"
    assert str(error.value) == said


def test_a_study_is_refused_where_a_single_run_is_meant_and_after_changes() -> None:
    """C05: a study whose plugins changed is not gone on with."""
    done = engine().run(recipe(seeds=[1, 2]))
    with pytest.raises(RecipeError) as error:
        engine().load(done.folder)
    members = ", ".join(str(member.folder) for member in done.members)
    assert str(error.value) == f"{done.folder} is a study, not a single run; name one of its runs: {members}"
    about = record(done.folder)
    about["plugins"]["textclf.testing.toy"] = "9"
    about["state"] = "interrupted"
    (done.folder / "record.json").write_text(json.dumps(about))
    with pytest.raises(ArtefactError, match=r"textclf\.testing\.toy was 9 and is sha256:[0-9a-f]{12};"):
        engine().resume(done.folder)
