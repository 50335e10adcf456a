"""Plans: everything that is wrong with a recipe, at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.places import placeless
from tests.sample import BOTH, SOUND, build, complaints, plan_of, plugin, refusal, registry
from textclf import Component, Problem, RecipeError, Traits
from textclf.recipe.plan import make_plan
from textclf.recipe.recipe import Source, parse

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
    assert (
        str(caught.value)
        == """\
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
    )


def test_planning_loads_no_library_of_machine_learning_nor_numpy():
    code = (
        "import sys; from tests.recipe.test_plan import EIGHT, registry, make_plan, parse, Source\n"
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


@pytest.mark.parametrize("name", ["os.system", "../x", "pkg.mod:Class", "__import__('os')", "tests.sample:build"])
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
        "(no distribution); rename the one in textclf_rival"
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


def test_an_encoder_must_make_what_the_trainer_reads():
    """R16: said with the trainers that would fit."""
    assert complaints({**SOUND, "encoder": "bert"}) == [
        "trainer: trainer 'linear' reads matrix, but encoder 'bert' makes tokens (trainers that read tokens: net)"
    ]
    assert complaints({**SOUND, "encoder": "vectors", "trainer": "bayes"}) == [
        "trainer: trainer 'bayes' reads counts, but encoder 'vectors' makes matrix (trainers that read matrix: linear)"
    ]


def test_a_misspelt_layout_is_told_with_the_one_meant():
    odd = Component(name="odd", build=build, traits=Traits(makes="matrx", tasks=BOTH))
    own = Component(name="own", build=build, traits=Traits(makes="graph", tasks=BOTH))
    reader = Component(name="reader", build=build, traits=Traits(reads=frozenset({"grph", "token"}), tasks=BOTH))
    walker = Component(name="walker", build=build, traits=Traits(reads=frozenset({"graph"}), tasks=BOTH))
    ours = plugin("ours", textclf_encoders=lambda: [odd, own], textclf_trainers=lambda: [reader, walker])
    assert complaints({**SOUND, "encoder": "odd"}, ours) == [
        "trainer: trainer 'linear' reads matrix, but encoder 'odd' makes matrx (trainers that read matrx: none "
        "installed); in the traits of encoder 'odd', is 'matrx' meant to be 'matrix'?"
    ]
    assert complaints({**SOUND, "encoder": "own", "trainer": "reader"}, ours) == [
        "trainer: trainer 'reader' reads grph or token, but encoder 'own' makes graph (trainers that read graph: "
        "walker); in the traits of trainer 'reader', is 'grph' meant to be 'graph'?"
    ]
    assert complaints({**SOUND, "encoder": "own"}, ours)[0].endswith(" (trainers that read graph: walker)")


def test_what_is_to_be_learned_before_the_labels_must_be_taught():
    """R16: said with the trainers that would teach it."""
    eager = Component(name="eager", build=build, traits=Traits(makes="tokens", tasks=BOTH, objectives=True))
    reads = frozenset({"tokens"})
    patient = Component(name="patient", build=build, traits=Traits(reads=reads, tasks=BOTH, objectives=True))
    ours = plugin("ours", textclf_encoders=lambda: [eager], textclf_trainers=lambda: [patient])
    assert complaints({**SOUND, "encoder": "eager", "trainer": "net"}, ours) == [
        "encoder: encoder 'eager' has something to learn before the labels, which trainer 'net' does not teach "
        "(trainers that do: patient)"
    ]
    assert plan_of({**SOUND, "encoder": "eager", "trainer": "patient"}, ours).trainer.name == "patient"


def test_counts_are_a_matrix():
    assert plan_of({**SOUND, "encoder": "words", "trainer": "linear"}).trainer.name == "linear"


def test_every_step_must_do_the_datas_task():
    """R16: each that cannot is named."""
    metrics = ["accuracy", "roc_auc"]
    values = {**SOUND, "dataset": {"use": "rows", "multi": True}, "trainer": "bayes", "metrics": metrics}
    expected = [
        "trainer: the data is multi-label, but trainer 'bayes' does single-label only",
        "metrics.1: the data is multi-label, but metric 'roc_auc' does single-label only",
    ]
    assert complaints(values) == expected
    assert complaints(values, data_traits=Traits(tasks=frozenset({"multi-label"}))) == expected
    plan = plan_of({**values, "dataset": "rows"})
    with pytest.raises(RecipeError) as caught:
        plan.check_data("multi-label", pairs=False)
    assert [str(problem) for problem in caught.value.problems] == expected
    plan.check_data("single-label", pairs=False)


def test_an_output_must_do_the_datas_task():
    """R16: what it cannot write of is said before anything is trained; who says nothing does single labels."""
    whole = Component(name="whole", build=build, traits=Traits(tasks=BOTH))
    ours = plugin("ours", textclf_outputs=lambda: [whole])
    values = {**SOUND, "dataset": {"use": "rows", "multi": True}, "outputs": ["whole", "card"]}
    expected = ["outputs.1: the data is multi-label, but output 'card' does single-label only"]
    assert complaints(values, ours) == expected
    plan = plan_of({**values, "dataset": "rows"}, ours)
    plan.check_data("single-label", pairs=True)
    with pytest.raises(RecipeError) as caught:
        plan.check_data("multi-label", pairs=False)
    assert [str(problem) for problem in caught.value.problems] == expected
    assert plan_of({**values, "outputs": ["whole"]}, ours).outputs[0].name == "whole"


def test_an_encoder_must_read_pairs_where_the_data_is_pairs():
    """R16: pairs are the encoder's matter alone."""
    values = {**SOUND, "dataset": {"use": "rows", "pairs": True}, "encoder": "vectors"}
    assert complaints(values) == ["encoder: the data is pairs of texts, but encoder 'vectors' reads single texts only"]
    assert plan_of({**values, "encoder": "words"}).encoder.name == "words"


def test_data_of_either_task_is_judged_when_it_is_loaded():
    assert plan_of({**SOUND, "trainer": "bayes"}, data_traits=Traits(tasks=BOTH)).trainer.name == "bayes"


def test_no_validation_is_refused_for_those_who_read_it():
    """R16: validation needed but none."""
    none = {"validation": 0}
    assert complaints({**SOUND, "split": none, "encoder": "bert", "trainer": "net"}) == [
        "split.validation: 0 leaves no validation split, but trainer 'net' reads one"
    ]
    assert complaints({**SOUND, "split": none, "select": "accuracy", "decide": {"threshold": "tuned"}}) == [
        "split.validation: 0 leaves no validation split, but select: accuracy and decide.threshold: tuned read one"
    ]
    assert not plan_of({**SOUND, "split": none}).uses_validation


def test_shares_must_leave_something_to_train_on():
    assert complaints({**SOUND, "split": {"test": 0.5, "validation": 0.5}}) == [
        "split.test: test and validation together leave nothing to train on"
    ]


def test_selection_and_gates_name_metrics_of_the_recipe():
    """R01: misspelt ones too."""
    assert complaints({**SOUND, "select": "f1_macro", "gates": {"acuracy": 0.9}}) == [
        "select: 'f1_macro' is not among the recipe's metrics (accuracy); add it to metrics",
        "gates.acuracy: 'acuracy' is not among the recipe's metrics (accuracy); did you mean 'accuracy'?",
    ]


def test_a_metric_named_twice_is_refused():
    assert complaints({**SOUND, "metrics": ["accuracy", {"use": "accuracy"}]}) == [
        "metrics.1: metric 'accuracy' is named twice"
    ]
