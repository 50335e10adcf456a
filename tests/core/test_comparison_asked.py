"""A program compares what `run` gave it, is told at once what is no run, metric or draw, and sees the answer whole."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from tests.core.test_comparison import NOISY, OTHER, WEAK, correct, judged
from tests.core.toys import engine, recipe
from textclf import RecipeError

GIVE = "give one list of at least two runs: engine.compare([first, second])"
RUN = "give a Result of engine.run, a run's folder or name, or a list of them"


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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("name/20261123",), f"runs is a str, not a list; {GIVE}"),
        ((None,), f"runs is nothing, not a list; {GIVE}"),
        ((["a"], ["b"]), f"runs is several arguments; {GIVE}"),
        (([1, 2],), f"runs[0] is an int; {RUN}"),
        ((["a", ["b", None]],), f"runs[1][1] is nothing; {RUN}"),
        (
            (["a", "vs", "b"],),
            "runs[1] is 'vs', which only the command reads so; give each side's runs as a list: "
            "engine.compare([[a1, a2], [b1, b2]])",
        ),
        (([],), "a comparison needs at least two runs"),
    ],
)
def test_what_is_no_list_of_runs_is_refused_in_one_sentence(given: Any, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        engine().compare(*given)
    assert str(raised.value) == said


def test_one_result_or_two_results_without_a_list_are_told_to_be_a_list() -> None:
    one = engine().run(recipe())
    for given, found in (((one,), "a Result, not a list"), ((one, one), "several arguments")):
        with pytest.raises(RecipeError) as raised:
            engine().compare(*given)  # type: ignore[arg-type]
        assert str(raised.value) == f"runs is {found}; {GIVE}"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"metrics": "accuracy"}, "metrics is 'accuracy', not a list; give metrics=['accuracy']"),
        ({"metrics": None}, "metrics is nothing, not a list; give names: metrics=['accuracy']"),
        ({"metrics": [1]}, "metrics[0] is an int, not a metric's name; give names: metrics=['accuracy']"),
        ({"draws": 0}, "draws is 0, too few for an interval; give at least 100"),
        ({"draws": 1e3}, "draws is a float, not a whole number; give at least 100"),
    ],
)
def test_what_is_no_metric_or_number_of_draws_is_refused_in_one_sentence(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        engine().compare(["a", "b"], **asked)
    assert str(raised.value) == said


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
