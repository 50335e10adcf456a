"""Runs that do not compare, or that are damaged, are refused with the way out."""

from __future__ import annotations

import json

import pytest

from tests.compare.test_compare import NOISY, OTHER
from tests.toys import engine, recipe
from textclf import ArtefactError, DataError, RecipeError


def test_runs_that_do_not_compare_are_refused_with_the_way_out() -> None:
    ready = engine()
    one, other = ready.run(recipe()).folder, ready.run(recipe(split={"seed": 1})).folder
    with pytest.raises(DataError) as raised:
        ready.compare([one, other])
    assert str(raised.value) == (
        f"{one} and {other} were tested on different texts, so their scores do not compare; "
        f"run both with the same dataset, clean and split"
    )
    folds = ready.run(recipe(split={"folds": 2})).folder
    with pytest.raises(DataError, match=r"so their scores do not compare; compare runs without folds$"):
        ready.compare([folds, one])
    with pytest.raises(RecipeError, match=r"^a comparison needs at least two runs$"):
        ready.compare([one])
    with pytest.raises(RecipeError, match=r"^a comparison needs a run on either side of 'vs'$"):
        ready.compare([[one], []])
    with pytest.raises(RecipeError, match=rf"^{one} is named twice; a run does not compare with itself$"):
        ready.compare([one, one / "model"])
    record = json.loads((other / "record.json").read_text("utf-8"))
    (other / "record.json").write_text(json.dumps({**record, "splits": {}}))
    with pytest.raises(ArtefactError, match=rf"^{other} does not say which texts it was tested on; run the recipe "):
        ready.compare([one, other])


def test_a_classifier_is_not_compared_with_a_recipe_nor_one_recipe_with_a_mixture() -> None:
    ready = engine()
    study = ready.run(recipe(name="a", seeds=[1, 2], **NOISY))
    one = ready.run(recipe(name="b", seed=3, **NOISY)).folder
    other = ready.run(recipe(name="c", seed=4, **OTHER)).folder
    with pytest.raises(RecipeError) as raised:
        ready.compare(["b", "a"])
    assert str(raised.value) == (
        "'b' is one run, but 'a' is several: a classifier does not compare with a recipe; name one run each, or "
        "several seeds of both (a study: `textclf run RECIPE --seeds 3`)"
    )
    with pytest.raises(RecipeError) as raised:
        ready.compare(["a", [one, other]])
    assert str(raised.value) == (
        f"{one} and {other} are not runs of one recipe: they differ in trainer.rate; put them on either side of 'vs', "
        f"or leave one out"
    )
    assert study.members


def test_labels_groups_and_metrics_that_do_not_fit_are_named() -> None:
    ready = engine()
    names = {"use": "toy_texts", "size": 40, "names": ["no", "yes"]}
    one, other = ready.run(recipe()).folder, ready.run(recipe(dataset=names)).folder
    with pytest.raises(RecipeError, match=r"^no metric is called 'acuracy'; did you mean 'accuracy'\?"):
        ready.compare([one, ready.run(recipe()).folder], metrics=["acuracy"])
    with pytest.raises(DataError, match=rf"^{one} and {other} have different labels, so their scores do not compare$"):
        ready.compare([one, other])


def test_an_unfinished_study_is_not_compared_by_its_folder_nor_by_its_name() -> None:
    ready = engine()
    study = ready.run(recipe(name="a", seeds=[1, 2])).folder
    one = ready.run(recipe(name="b")).folder
    record = json.loads((study / "record.json").read_text("utf-8"))
    (study / "record.json").write_text(json.dumps({**record, "state": "interrupted"}))
    for reference in (study, "a"):
        with pytest.raises(ArtefactError) as raised:
            ready.compare([reference, one])
        assert str(raised.value) == f"{study} is a study that is interrupted: `textclf resume {study}`"


def test_a_study_that_has_lost_a_run_is_told_which() -> None:
    ready = engine()
    study, other = (ready.run(recipe(name=name, seeds=[1, 2])) for name in "ab")
    lost = study.members[1].folder
    (lost / "record.json").unlink()
    with pytest.raises(ArtefactError) as raised:
        ready.compare([study, other])
    assert str(raised.value) == f"{lost} is not there, or has lost its record.json; run the recipe again"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "'{' is not closed: expected ',' or '}'"),
        ("seed: x", "seed: must be a whole number, not the text 'x'"),
    ],
)
def test_a_run_whose_recipe_is_damaged_is_named(text: str, reason: str) -> None:
    ready = engine()
    one, other = ready.run(recipe()).folder, ready.run(recipe()).folder
    (other / "recipe.yaml").write_text(text)
    with pytest.raises(ArtefactError) as raised:
        ready.compare([one, other])
    assert str(raised.value) == f"{other}/recipe.yaml is damaged, run the recipe again: {reason}"


def test_runs_that_say_other_labels_of_the_same_texts_are_damaged() -> None:
    ready = engine()
    one, other = ready.run(recipe()).folder, ready.run(recipe()).folder
    table = other / "predictions.csv"
    swapped = {"label0": "label1", "label1": "label0"}
    header, row, *rows = table.read_text("utf-8").splitlines()
    number, label, rest = row.split(",", 2)
    table.write_text("\n".join([header, f"{number},{swapped[label]},{rest}", *rows, ""]), "utf-8")
    with pytest.raises(ArtefactError) as raised:
        ready.compare([one, other])
    assert str(raised.value) == (
        f"{one} and {other} have different labels for the same test texts: one of the two is damaged; run both recipes "
        f"again"
    )
