"""What must fit between the steps of a plan."""

from __future__ import annotations

import pytest

from textclf import Component, RecipeError, Traits

from .sample import BOTH, SOUND, build, complaints, plan_of, plugin


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
