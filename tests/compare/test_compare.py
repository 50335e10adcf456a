"""Runs compared on the same texts, by paired draws."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toys import engine, recipe
from textclf import Labels, Predictions, RecipeError, Texts
from textclf.compare.compare import compare_predictions
from textclf.compare.comparison import ComparedSystem, Comparison
from textclf.testing.toy import ToyAccuracy

AB = Labels(("neg", "pos"))
WEAK = {"trainer": {"use": "toy_linear", "epochs": 1, "rate": 0.001}}
NOISY = {"dataset": {"use": "toy_texts", "size": 300, "labels": 3}, "trainer": {"use": "toy_linear", "epochs": 1}}
OTHER = {**NOISY, "trainer": {"use": "toy_linear", "epochs": 1, "rate": 0.01}}


def answers(right: Any, groups: list[str] | None = None) -> Predictions:
    n = len(right)
    truth = np.arange(n) % 2
    predicted = np.where(right, truth, 1 - truth)
    return Predictions(AB, truth, predicted, np.full((n, 2), 0.5, np.float32), Texts([""] * n), [""] * n, groups)


def judged(*sides: Any, groups: list[str] | None = None, metric: Any = None, seeds: Any = None) -> Comparison:
    """Compare sides, each given as bool[n], which texts are decided right, or as bool[seeds, n]."""
    read = [[answers(right, groups) for right in np.atleast_2d(side)] for side in sides]
    who = [
        ComparedSystem(name, tuple(Path(f"{name}{i}") for i in range(len(side))), seeds or tuple(range(len(side))))
        for name, side in zip("ABCDEF", read, strict=False)
    ]
    return compare_predictions(who, read, {"accuracy": metric or ToyAccuracy()}, 1000)


def correct(*counts: int) -> tuple[Any, Any]:
    """Return who decides which texts right: so many by both, by the first alone, by the other alone, by none."""
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


class Error(ToyAccuracy):
    """The share of wrong texts: less is better."""

    greater_is_better = False

    def __call__(self, predictions: Predictions, weights: Any = None) -> Any:
        return 1 - super().__call__(predictions, weights)


def test_the_first_run_differs_from_itself_by_nothing_and_from_others_within_an_interval() -> None:
    ready = engine()
    strong, weak = ready.run(recipe()), ready.run(recipe(**WEAK))
    compared = ready.compare([strong.folder, weak.folder], metrics=["accuracy"])
    first, second = compared.metrics["accuracy"]
    assert (first.difference, first.low, first.high) == (0, 0, 0)
    assert second.difference == second.value - first.value
    assert second.low <= second.difference <= second.high
    assert ready.compare([strong.folder, weak.folder]).headline == "toy_accuracy"
    assert compared.speaks_of == "classifiers"


def test_a_difference_is_said_with_its_interval_whichever_side_is_better() -> None:
    worse, better = correct(1600, 60, 102, 238)
    said = "B is better than A by 0.021 (95 % interval 0.009 to 0.034) in accuracy"
    assert judged(worse, better).sentences() == (said,)
    assert judged(better, worse).sentences() == (said.replace("B is better than A", "A is better than B"),)
    (test,) = judged(worse, better).mcnemar
    assert (test.first, test.other, round(test.p, 4)) == (60, 102, 0.0012)
    less = judged(worse, better, metric=Error())
    assert less.sentences() == (said,)


def test_no_evidence_is_said_with_interval_and_p() -> None:
    compared = judged(*correct(1600, 90, 98, 212))
    assert compared.sentences() == (
        "no evidence of a difference between A and B in accuracy: +0.004 (95 % interval -0.009 to +0.018, p 0.61)",
    )
    assert not compared.metrics["accuracy"][1].different


def test_small_numbers_are_said_with_digits_enough_not_to_read_as_nothing() -> None:
    worse, better = correct(20_000, 0, 9, 100)
    assert judged(worse, better).sentences() == (
        "B is better than A by 0.0004 (95 % interval 0.0002 to 0.0007) in accuracy",
    )


def test_several_runs_are_each_held_against_the_first_with_corrected_p() -> None:
    first, other = correct(800, 30, 50, 120)
    alone, both = judged(first, other), judged(first, other, first)
    assert alone.mcnemar[0].p == pytest.approx(0.0330, abs=1e-4)
    assert alone.metrics["accuracy"][1].different
    assert both.mcnemar[0].p == pytest.approx(2 * alone.mcnemar[0].p)
    assert not both.metrics["accuracy"][1].different
    assert both.sentences()[0].startswith("no evidence of a difference between A and B in accuracy: +0.020 ")
    assert both.sentences()[1].endswith("+0.000 (95 % interval +0.000 to +0.000, corrected p 1)")


def test_rows_of_a_group_stand_and_fall_together() -> None:
    first, other = correct(300, 0, 10, 90)
    groups = [f"g{i // 10}" for i in range(400)]
    assert judged(first, other).metrics["accuracy"][1].different
    together = judged(first, other, groups=groups)
    assert (together.resampled, together.mcnemar[0].p) == ("groups", 1)
    assert not together.metrics["accuracy"][1].different


def test_seeds_that_vary_more_than_the_recipes_are_no_evidence_though_their_runs_differ() -> None:
    generator = np.random.default_rng(0)
    one = [generator.random(2000) < rate for rate in (0.80, 0.84, 0.88)]
    other = [generator.random(2000) < rate for rate in (0.83, 0.86, 0.90)]
    assert judged(one[0], other[0]).metrics["accuracy"][1].different
    compared = judged(one, other)
    assert (compared.speaks_of, compared.mcnemar) == ("recipes", ())
    assert compared.sentences()[0].startswith("no evidence of a difference between A and B in accuracy: +0.02")


def test_recipes_whose_seeds_agree_are_told_apart() -> None:
    generator = np.random.default_rng(0)
    one, other = ([generator.random(2000) < rate for _ in range(3)] for rate in (0.80, 0.85))
    assert judged(one, other).metrics["accuracy"][1].different


def test_what_an_undefined_metric_says_is_no_evidence_and_valid_json() -> None:
    class Undefined(ToyAccuracy):
        def __call__(self, predictions: Predictions, weights: Any = None) -> Any:
            return math.nan if weights is None else np.full(len(weights), math.nan)

    compared = judged(*correct(5, 1, 1, 1), metric=Undefined())
    assert compared.sentences() == (
        "no evidence of a difference between A and B in accuracy: undefined (95 % interval undefined to undefined, "
        "p undefined)",
    )
    document = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert document["metrics"]["accuracy"][1]["p"] is None


def test_seeds_that_are_none_are_warned_of() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.random((2, 50)) < 0.8, generator.random((2, 50)) < 0.8
    assert judged(one, other, seeds=(1, 1)).warnings[0] == (
        "several runs of 'A' have the same seed: they are not independent, so the interval is too narrow; give each "
        "run a seed of its own"
    )
    # Their scores are the same here, whatever they decide.
    assert judged(one, other).warnings[1] == (
        "the runs of 'B' agree in every score: training by this recipe does not depend on the seed"
    )


@pytest.mark.parametrize("changes", [{"multi_label": True}, {"groups": 30}])
def test_runs_of_every_kind_are_compared(changes: dict[str, Any]) -> None:
    ready = engine()
    data = {"use": "toy_texts", "size": 80, **changes}
    folders = [ready.run(recipe(dataset=data, **more)).folder for more in ({}, WEAK)]
    compared = ready.compare(folders)
    assert compared.resampled == ("groups" if "groups" in changes else "texts")
    assert compared.metrics["toy_accuracy"][1].p == compared.mcnemar[0].p


def test_runs_on_data_that_a_program_gave_are_compared() -> None:
    ready = engine()
    data = ([f"a text of {word} {i}" for i in range(40) for word in ("joy", "woe")], ["good", "bad"] * 40)
    folders = [ready.run(recipe(dataset=None, **more), data).folder for more in ({}, WEAK)]
    assert ready.compare(folders).texts == 16


def test_a_study_is_compared_by_its_name_as_a_recipe() -> None:
    ready = engine()
    one, other = (ready.run(recipe(name=name, seeds=[1, 2], **how)) for name, how in (("a", NOISY), ("b", OTHER)))
    compared = ready.compare(["a", "b"])
    assert (compared.speaks_of, compared.runs) == ("recipes", ("a", "b"))
    assert [side.seeds for side in compared.contenders] == [(1, 2), (1, 2)]
    folders = [[member.folder for member in study.members] for study in (one, other)]
    assert [list(side.folders) for side in compared.contenders] == folders
    assert ready.compare(folders).metrics == compared.metrics == ready.compare([one.folder, folders[1]]).metrics
    single = ready.compare([folders[0][0], folders[0][1]])
    assert single.speaks_of == "classifiers"
    assert single.runs == tuple(f"a/{folder.name}" for folder in folders[0])


def test_a_single_run_of_a_study_is_called_by_its_own_id_and_a_study_by_its() -> None:
    ready = engine()
    first, second = (ready.run(recipe(name="a", seeds=[1, 2], **how)) for how in (NOISY, OTHER))
    alone = ready.run(recipe(name="a", seed=1, **NOISY))
    other = ready.run(recipe(name="b", seed=1, **NOISY))
    member = first.members[0]
    assert ready.compare([member, alone]).runs == (f"a/{member.folder.name}", f"a/{alone.folder.name}")
    assert ready.compare([member, other]).runs == (f"a/{member.folder.name}", "b")
    assert ready.compare([first, second]).runs == (f"a/{first.folder.name}", f"a/{second.folder.name}")


def test_results_are_compared_as_their_folders_are() -> None:
    ready = engine()
    one, other = ready.run(recipe()), ready.run(recipe(**WEAK))
    assert ready.compare([one, other]) == ready.compare([one.folder, str(other.folder)])
    assert ready.compare(ready.runs_list()) == ready.compare([other, one])


def test_results_of_studies_and_lists_of_their_members_are_compared_as_recipes() -> None:
    ready = engine()
    one, other = (ready.run(recipe(name=name, seeds=[1, 2], **how)) for name, how in (("a", NOISY), ("b", OTHER)))
    compared = ready.compare([one, other])
    assert compared == ready.compare(["a", "b"]) == ready.compare([one.members, [*other.members]])
    assert compared.speaks_of == "recipes"


def test_one_run_in_place_of_a_list_is_refused_with_the_list_that_was_meant() -> None:
    one = engine().run(recipe())
    for run in (one, one.folder, "toy"):
        with pytest.raises(RecipeError) as raised:
            engine().compare(run)  # type: ignore[arg-type]
        assert str(raised.value) == "runs is one run; give a list of at least two: engine.compare([first, second])"


def test_too_few_runs_or_draws_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"^a comparison needs at least two runs$"):
        engine().compare([])
    with pytest.raises(RecipeError, match=r"^draws is 0, too few for an interval; give at least 100$"):
        engine().compare(["a", "b"], draws=0)


def test_a_comparison_reads_as_its_sentences_and_what_they_speak_of() -> None:
    assert str(judged(*correct(1600, 60, 102, 238))) == (
        "B is better than A by 0.021 (95 % interval 0.009 to 0.034) in accuracy\n"
        "this speaks of these classifiers: it allows for other test texts, not for other training seeds (for recipes, "
        "compare studies: textclf run RECIPE --seeds 3)"
    )


def test_a_notebook_shows_a_comparison_as_a_table_with_its_sentences_and_names_in_it_are_inert() -> None:
    """X02: markup in a run's name is text."""
    found = judged(*correct(1600, 60, 102, 238))
    first = dataclasses.replace(found.contenders[0], name="<b>A</b>")
    page = dataclasses.replace(found, contenders=(first, found.contenders[1]), warnings=("be <careful>",))._repr_html_()
    cells = re.findall("<t[hd](?: [^>]*)?>(.*?)</t[hd]>", page)
    assert cells[:6] == ["metric", "run", "value", "difference", "95 % interval", "p"]
    assert cells[6:12] == ["accuracy", "&lt;b&gt;A&lt;/b&gt;", "0.8300", "", "", ""]
    assert cells[12:16] == ["", "B", "0.8510", "+0.0210"]
    lines = [*found.sentences(), found.scope(), "warning: be &lt;careful&gt;"]
    assert re.findall("<p>(.*?)</p>", page) == lines
