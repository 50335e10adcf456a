"""What a run chose is written into its recipe, and the run can still be resumed, wherever it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.core.killing import deaths
from tests.core.toys import Stopping, contents, engine, plugin, recipe
from textclf import Chosen, Stopped
from textclf.files import digest
from textclf.run.folder import create, open_run
from textclf.run.resume import refuse_changes
from textclf.run.runner import fix
from textclf.testing.toy import LinearOptions, ToyLinear, linear_traits

RATE = Chosen(what="rate", choice=0.5, options={"trainer.rate": 0.5})


class Choosing(ToyLinear):
    """Chooses its rate, which its recipe leaves at the default."""

    tells = RATE

    def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
        context.emit(self.tells)
        return super().train(encoder, train, validation, labels, context)


def choosing(tells: Chosen = RATE, **settings: Any) -> Any:
    kind = type("Choosing", (Choosing,), {"tells": tells})
    made = plugin("trainer", "choosing", lambda: kind(LinearOptions()), options=LinearOptions, traits=linear_traits)
    return engine(made, **settings)


def written(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((folder / "recipe.yaml").read_text())
    return values


def test_the_recipe_of_a_run_names_what_the_run_chose() -> None:
    result = choosing().run(recipe(trainer="choosing"))
    assert written(result.folder)["trainer"] == {"use": "choosing", "epochs": 30, "rate": 0.5, "keep": "last"}
    again = choosing().run(result.folder / "recipe.yaml")
    assert contents(again) == contents(result)
    record = json.loads((result.folder / "record.json").read_text())
    assert record["recipe_sha256"] == digest(result.folder / "recipe.yaml") != record["recipe_asked_sha256"]


def test_a_choice_without_options_leaves_the_recipe_as_it_was() -> None:
    result = choosing(Chosen(what="layout", choice="packed")).run(recipe(trainer="choosing"))
    assert written(result.folder)["trainer"]["rate"] == 1.0
    assert "recipe_asked_sha256" not in json.loads((result.folder / "record.json").read_text())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"trainer.speed": 1, "metrics.0": "f1"},
            [f"a choice names the option '{name}', which the recipe does not have; it is left out of the recipe"
             for name in ("trainer.speed", "metrics.0")],
        ),
        (
            {"trainer.rate": -1},
            ["a choice cannot be written into the recipe: trainer.rate: must be greater than 0, not -1"],
        ),
    ],
)  # fmt: skip
def test_an_option_that_a_step_does_not_take_is_a_warning_and_not_the_end(options: Any, says: list[str]) -> None:
    """P04: what a component says wrongly is caught at the border."""
    result = choosing(Chosen(what="rate", choice="any", options=options)).run(recipe(trainer="choosing"))
    assert list(result.report.warnings) == says  # type: ignore[union-attr]
    assert written(result.folder)["trainer"]["rate"] == 1.0


def test_a_run_that_was_interrupted_ends_with_the_recipe_and_the_results_of_one_that_was_not() -> None:
    whole = choosing().run(recipe(trainer="choosing"))
    with pytest.raises(Stopped) as stopped:
        choosing(stopping=Stopping(5)).run(recipe(trainer="choosing"))
    assert stopped.value.exit_code == 75
    resumed = choosing().resume("toy")
    assert resumed.folder != whole.folder
    assert contents(resumed) == contents(whole)
    assert (resumed.folder / "recipe.yaml").read_bytes() == (whole.folder / "recipe.yaml").read_bytes()


def test_a_run_killed_while_its_recipe_is_written_can_be_resumed(tmp_path: Path) -> None:
    """C05: a recipe that the run itself has fixed is no change; what a person edits still is."""
    plan = choosing().plan(recipe(trainer="choosing"))
    folder = create(tmp_path / "runs", "toy", plan.resolved(), plugins=plan.plugins())
    folder.observe(RATE)
    rates = []
    for _ in deaths(lambda: fix(folder, plan, pytest.fail)):
        rates.append(written(folder.path)["trainer"]["rate"])
        resumed = open_run(folder.path)
        refuse_changes(resumed, plan)
        resumed.mend()
    assert len(rates) > 5
    assert set(rates) == {1.0, 0.5}
    fixed = choosing().plan(folder.path / "recipe.yaml")
    assert fix(open_run(folder.path), fixed, pytest.fail).resolved() == fixed.resolved()
