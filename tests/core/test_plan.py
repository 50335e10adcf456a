"""From a recipe to a plan, or to everything that is wrong with it at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from textclf import Component, Problem, RecipeError, Traits
from textclf.recipe.plan import make_plan
from textclf.recipe.recipe import Source, parse

from .places import placeless
from .sample import SOUND, build, complaints, plan_of, plugin, refusal, registry

EIGHT = """\
version: 1
name: ../eight
sed: 42
dataset:
  use: files
  path: nowhere.csv
encoder:
  use: brt
trainer:
  use: net
  batch_sise: 32
  learning_rate: -1
  epochs: "3"
split: {test: 0.2, test: 0.3}
metrics: [accuracy]
"""


def test_eight_mistakes_give_eight_positioned_messages_in_under_a_second():
    """R01: misspelt keys and names beside values of every wrong kind (and R02, R08, R10, R17), in one go."""
    began = time.process_time()
    with pytest.raises(RecipeError) as caught:
        make_plan(parse(Source("recipes/mine.yaml", EIGHT)), registry())
    assert time.process_time() - began < 1
    assert caught.value.exit_code == 2
    assert str(caught.value) == """\
recipes/mine.yaml:2:7: name: must be 1 to 100 letters, digits, '.', '_' and '-', not beginning with '.' or '-', \
since it names a folder
    2 | name: ../eight
      |       ^^^^^^^^
recipes/mine.yaml:3:1: sed: unknown key of a recipe; did you mean 'seed'?
    3 | sed: 42
      | ^^^
recipes/mine.yaml:6:9: dataset.path: no file is called 'nowhere.csv'
    6 |   path: nowhere.csv
      |         ^^^^^^^^^^^
recipes/mine.yaml:8:8: encoder.use: no encoder is called 'brt'; did you mean 'bert'? \
(installed: absent, bert, vectors, words)
    8 |   use: brt
      |        ^^^
recipes/mine.yaml:11:3: trainer.batch_sise: unknown option of trainer 'net' (plugin textclf_sample); \
did you mean 'batch_size'?
   11 |   batch_sise: 32
      |   ^^^^^^^^^^
recipes/mine.yaml:12:18: trainer.learning_rate: must be greater than 0, not -1
   12 |   learning_rate: -1
      |                  ^^
recipes/mine.yaml:13:11: trainer.epochs: must be a whole number, not the text '3'; write 3 without quotes
   13 |   epochs: "3"
      |           ^^^
recipes/mine.yaml:14:20: split.test: the key is given twice, first on line 14
   14 | split: {test: 0.2, test: 0.3}
      |                    ^^^^
8 problems; nothing was run"""


def test_planning_loads_no_library_of_machine_learning_nor_numpy():
    code = (
        "import sys; from tests.core.test_plan import EIGHT, registry, make_plan, parse, Source\n"
        "try: make_plan(parse(Source('r', EIGHT)), registry())\n"
        "except Exception as error: assert len(error.problems) == 8\n"
        "print([m for m in ('numpy', 'pandas', 'torch', 'sklearn', 'transformers') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_sound_recipe_is_a_plan():
    net = {"use": "net", "layers": [{"width": 3}]}
    plan = plan_of({**SOUND, "encoder": "bert", "trainer": net, "outputs": ["card"]})
    assert [str(step) for step in plan.steps()] == [
        "dataset 'rows' (plugin textclf_sample)",
        "encoder 'bert' (plugin textclf_sample)",
        "trainer 'net' (plugin textclf_sample)",
        "metric 'accuracy' (plugin textclf_sample)",
        "output 'card' (plugin textclf_sample)",
    ]
    assert plan.trainer.options.layers[0].width == 3
    assert (plan.select, plan.uses_validation, plan.warnings) == ("accuracy", True, ())


def test_a_resolved_plan_is_a_recipe_with_every_default_written_out():
    plan = plan_of({**SOUND, "encoder": "bert", "trainer": {"use": "net", "epochs": 3}, "clean": ["nfc"]})
    resolved = json.loads(json.dumps(plan.resolved()))
    assert resolved["trainer"] == {
        "use": "net", "batch_size": 32, "learning_rate": 2e-5, "epochs": 3, "schedule": "linear", "shuffle": True,
        "layers": [], "device": None,
    }  # fmt: skip
    assert resolved["split"]["leaks"] == "warn"
    again = plan_of(resolved)
    assert again.resolved() == plan.resolved()
    assert again.trainer.options == plan.trainer.options


def test_validation_is_used_by_a_trainer_a_selection_or_a_tuned_threshold():
    assert not plan_of(SOUND).uses_validation
    assert plan_of({**SOUND, "select": "accuracy"}).uses_validation
    assert plan_of({**SOUND, "decide": {"threshold": "tuned"}}).uses_validation
    assert plan_of({**SOUND, "encoder": "bert", "trainer": "net"}).uses_validation


def test_the_default_metrics_are_accuracy_and_macro_f1():
    plan = plan_of({key: value for key, value in SOUND.items() if key != "metrics"})
    assert [step.name for step in plan.metrics] == ["accuracy", "f1_macro"]


def test_data_of_the_callers_stands_in_for_the_dataset():
    values = {key: value for key, value in SOUND.items() if key != "dataset"}
    plan = plan_of(values, data_traits=Traits())
    assert (plan.dataset, plan.resolved()["dataset"]) == (None, None)
    assert plan_of({**values, "dataset": {"use": "files", "path": "nowhere"}}, data_traits=Traits()).dataset is None
    assert complaints(values) == ["dataset: is missing; name the recipe's dataset (installed: files, rows)"]


def test_every_missing_step_is_named():
    assert complaints({}) == [
        "dataset: is missing; name the recipe's dataset (installed: files, rows)",
        "encoder: is missing; name the recipe's encoder (installed: absent, bert, vectors, words)",
        "trainer: is missing; name the recipe's trainer (installed: bayes, linear, net)",
    ]


@pytest.mark.parametrize("name", ["os.system", "../x", "pkg.mod:Class", "__import__('os')", "tests.core.sample:build"])
def test_a_component_is_a_name_and_nothing_is_imported(name):
    """R09: paths and dotted names are just unknown names."""
    before = set(sys.modules)
    error = refusal({**SOUND, "encoder": {"use": name}})
    assert str(error.problems[0]) == (
        f"encoder.use: no encoder is called '{name}' (installed: absent, bert, vectors, words)"
    )
    assert error.exit_code == 2
    assert set(sys.modules) == before


def test_a_component_of_another_kind_is_recognised():
    """R01: a trainer where an encoder stands."""
    assert complaints({**SOUND, "encoder": "linear"}) == [
        "encoder: no encoder is called 'linear'; 'linear' is a trainer, not an encoder "
        "(installed: absent, bert, vectors, words)"
    ]


def test_an_absent_library_is_reported_with_the_pip_command():
    """R15: exit code 5, without importing anything to find out."""
    error = refusal({**SOUND, "encoder": "absent", "trainer": "net"})
    assert error.exit_code == 5
    assert [str(problem) for problem in error.problems] == [
        "encoder: encoder 'absent' needs no_such_library and json.no_such_part, which are not installed: "
        "pip install 'no-such-library>=2'"
    ]


def test_a_mistake_of_the_recipes_own_outweighs_an_absent_library():
    """R15: 2 where both are true, since the recipe must be mended first."""
    assert refusal({**SOUND, "encoder": "absent", "trainer": {"use": "net", "epochs": 0}}).exit_code == 2


def broken(name: str) -> object:
    def textclf_encoders():
        raise RuntimeError("the disk is made of cheese")

    return plugin(name, textclf_encoders=textclf_encoders)


@pytest.mark.parametrize("encoder", ["shout", "murmur"])
def test_a_component_of_a_broken_plugin_is_refused_with_its_reason(encoder):
    """R15: by the plugin's own name, or by any that nobody else offers."""
    error = refusal({**SOUND, "encoder": encoder}, broken("textclf_shout"))
    assert error.exit_code == 5
    assert [placeless(str(problem)) for problem in error.problems] == [
        f"encoder: no encoder is called '{encoder}' (installed: absent, bert, vectors, words); "
        "broken plugins: shout (textclf_encoders() fails: RuntimeError: the disk is made of cheese)"
    ]


def test_a_broken_plugin_does_not_turn_a_misspelt_name_into_its_own():
    """R15: a name near a known one is a misspelt one."""
    assert refusal({**SOUND, "encoder": "brt"}, broken("textclf_shout")).exit_code == 2
    assert refusal({**SOUND, "encoder": "../x"}, broken("textclf_shout")).exit_code == 2


def test_a_broken_plugin_harms_no_recipe_that_does_not_use_it():
    """R15: it is fatal only for a recipe that uses it."""
    assert plan_of(SOUND, broken("textclf_shout")).encoder.name == "words"


def test_one_name_offered_by_two_plugins_names_both():
    """P03: never the one that was found first."""
    rival = plugin("textclf_rival", textclf_encoders=lambda: [Component(name="words", build=build)])
    error = refusal(SOUND, rival)
    assert error.exit_code == 5
    assert [str(problem) for problem in error.problems] == [
        "encoder: encoder 'words' is offered by textclf_rival (no distribution) and textclf_sample "
        "(no distribution); rename that of textclf_rival"
    ]


def test_a_missing_file_is_found_before_anything_runs(tmp_path):
    """R17: `check` looks at what an option names, and the message stands at that option."""
    text = "dataset:\n  use: files\n  path: nowhere.csv\nencoder: words\ntrainer: linear\nmetrics: [accuracy]\n"
    with pytest.raises(RecipeError) as caught:
        make_plan(parse(Source("r.yaml", text)), registry())
    assert [str(problem).splitlines()[0] for problem in caught.value.problems] == [
        "r.yaml:3:9: dataset.path: no file is called 'nowhere.csv'"
    ]
    (tmp_path / "nowhere.csv").touch()
    assert make_plan(parse(Source("r.yaml", text)), registry()).dataset.options.path == Path("nowhere.csv")


def test_a_check_may_warn_and_must_return_problems():
    def checked(answer):
        offered = Component(name="checked", build=build, traits=Traits(makes="matrix"), check=lambda options: answer)
        return plugin("textclf_checked", textclf_encoders=lambda: [offered])

    values = {**SOUND, "encoder": "checked"}
    warning = Problem("is slow on this machine", exit_code=0)
    assert plan_of(values, checked([warning])).warnings == ("encoder: is slow on this machine",)
    error = refusal(values, checked(["slow"]))
    assert error.exit_code == 5
    assert [placeless(str(problem)) for problem in error.problems] == [
        "encoder: encoder 'checked' (plugin textclf_checked): check() returns something other than textclf.Problem"
    ]
    error = refusal(values, checked([warning, replace(warning, exit_code=700)]))
    assert error.exit_code == 5
    assert [placeless(str(problem)) for problem in error.problems] == [
        "encoder: encoder 'checked' (plugin textclf_checked): check() returns a Problem of exit code 700; there are "
        "2 to 8, and 0 for a warning"
    ]
    assert [str(problem) for problem in refusal(values, checked(None)).problems] == [
        "encoder: encoder 'checked' (plugin textclf_checked): check() fails: "
        "TypeError: 'NoneType' object is not iterable"
    ]


def test_what_is_given_but_not_used_is_a_warning():
    plan = plan_of({**SOUND, "seed": 3, "seeds": [1, 2], "split": {"folds": 3, "test": 0.2}})
    assert plan.warnings == (
        "seed is not used: seeds names the seeds of the study's runs",
        "split.test is not used: with split.folds each fold is the test split once",
    )
    assert plan.with_seed(1).warnings == plan.warnings[1:]
    assert plan_of({**SOUND, "seed": 3}, overrides=["seeds=[1, 2]"]).warnings == ()



def test_problems_of_flags_come_after_the_files():
    text = "dataset: rows\nencoder: words\ntrainer: linear\nmetrics: [acuracy]\n"
    with pytest.raises(RecipeError) as caught:
        make_plan(parse(Source("r.yaml", text), ["trainer.batch_sise=3", "split.tset=1"]), registry())
    assert [str(problem).splitlines()[0] for problem in caught.value.problems] == [
        "r.yaml:4:11: metrics.0: no metric is called 'acuracy'; did you mean 'accuracy'? "
        "(installed: accuracy, f1_macro, roc_auc)",
        "--set split.tset=1: split.tset: unknown key of 'split'; did you mean 'test'?",
        "--set trainer.batch_sise=3: trainer.batch_sise: unknown option of trainer 'linear' (plugin textclf_sample); "
        "it has none",
    ]
