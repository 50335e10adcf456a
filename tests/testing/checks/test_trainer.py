"""Whom `trainer.learns` accuses: wrong wirings, and no sound classifier, however badly it gets on with few texts."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from tests.culprits.making import LINEAR
from textclf import Encoded, Field, Options, Traits
from textclf.testing import ContractBroken, contract
from textclf.testing.toy import ToyLinear

BOTH = frozenset({"single-label", "multi-label"})
SOUND = {
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "bayes": GaussianNB,
    "one neighbour": lambda: KNeighborsClassifier(1),
    "five neighbours": lambda: KNeighborsClassifier(5),
    "nine neighbours": lambda: KNeighborsClassifier(9, metric="cosine"),
    "network": lambda: MLPClassifier(random_state=0, max_iter=300),
    "perceptron": lambda: Perceptron(random_state=0),
    "descent": lambda: SGDClassifier(random_state=0),
    "unregularised": lambda: LogisticRegression(C=1e9, max_iter=5000),
}


def probability(fitted, features):
    if hasattr(fitted, "predict_proba"):
        return fitted.predict_proba(features)[:, 1]
    return 1 / (1 + np.exp(-np.clip(fitted.decision_function(features), -50, 50)))


class Columns:
    """An estimator for each label, one against the others."""

    def __init__(self, fitted, several):
        self.fitted, self.several = fitted, several

    def scores(self, features, context):
        scores = np.stack([probability(each, features) for each in self.fitted], axis=1) + (0 if self.several else 1e-9)
        return (scores if self.several else scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)

    def save(self, folder):
        """Nothing is loaded here."""


class AdaGrad(ToyLinear):
    """Twenty passes over small batches, without a penalty."""

    def train(self, encoder, train, validation, labels, context):
        model = super().train(encoder, train, validation, labels, context)
        wanted = train.labels if train.labels.ndim == 2 else np.eye(len(labels))[train.labels]
        features = np.hstack([train.features, np.ones((len(wanted), 1))])
        model.weights, squares = np.zeros_like(model.weights), 1e-8
        for epoch in range(20):
            for rows in np.array_split(np.random.default_rng(epoch).permutation(len(wanted)), 3):
                logits = features[rows] @ model.weights
                powers = np.exp(logits - logits.max(axis=1, keepdims=True))
                several = labels.task == "multi-label"
                likely = 1 / (1 + np.exp(-logits)) if several else powers / powers.sum(axis=1, keepdims=True)
                step = features[rows].T @ (likely - wanted[rows]) / len(rows)
                squares = squares + step**2
                model.weights = model.weights - 0.5 * step / np.sqrt(squares)
        return model


def told(trainer, layout="matrix", task=None, **changes):
    """Return what `trainer.learns` finds of a trainer, and nothing where it holds."""
    traits = Traits(reads=frozenset({layout}), tasks=BOTH if task is None else frozenset({task}))
    module = ModuleType("textclf_pupil")
    module.textclf_trainers = lambda: [replace(LINEAR, build=trainer, name="pupil", traits=traits, **changes)]
    (case,) = [case for case in contract(module) if case.clause == "trainer.learns"]
    try:
        case.check()
    except ContractBroken as broken:
        (finding,) = broken.findings
        return finding.detail
    return ""


def learning(make):
    class Learning(ToyLinear):
        def train(self, encoder, train, validation, labels, context):
            several = labels.task == "multi-label"
            truth = train.labels if several else np.eye(len(labels), dtype=bool)[train.labels]
            return Columns([make().fit(train.features, column) for column in truth.T], several)

    return Learning


@pytest.mark.parametrize("layout", ["matrix", "counts"])
@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
@pytest.mark.filterwarnings("ignore")
def test_a_sound_classifier_is_not_accused(make, layout):
    assert told(learning(make), layout) == ""


@pytest.mark.parametrize("layout", ["matrix", "counts"])
def test_a_sound_optimiser_without_a_penalty_is_not_accused(layout):
    assert told(AdaGrad, layout) == ""


class Wired(ToyLinear):
    """A sound trainer, whose texts or scores are turned."""

    given = staticmethod(lambda labels: labels)
    turn = staticmethod(lambda scores: scores)

    def train(self, encoder, train, *rest):
        model = super().train(encoder, Encoded(train.features, self.given(train.labels)), *rest)
        sound, turn = model.scores, self.turn

        def scores(features, context):
            return np.ascontiguousarray(turn(sound(features, context)), np.float32)

        model.scores = scores
        return model


def of_sum_1(scores):
    return scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-9) if len(scores) else scores


WRONG = {
    "columns turned round": {"turn": lambda scores: np.roll(scores, 1, axis=1)},
    "two columns mixed up": {"turn": lambda scores: scores[:, [0, 2, 1]]},
    "labels in another order": {"given": lambda labels: np.random.default_rng(0).permutation(labels)},
    "labels one row off": {"given": lambda labels: np.roll(labels, 1, axis=0)},
    "answers in another order": {"turn": lambda scores: np.random.default_rng(0).permutation(scores)},
    "the same for every text": {"turn": lambda scores: np.broadcast_to(scores.mean(axis=0), scores.shape)},
}


@pytest.mark.parametrize("task", sorted(BOTH))
@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG)
def test_a_wrong_wiring_is_caught_in_either_task(fault, task):
    wrong = type("Wrong", (Wired,), {name: staticmethod(turned) for name, turned in fault.items()})
    assert told(wrong, task=task).startswith(f"taught on 90 separable {task} texts it gets ")


def test_a_label_that_is_never_told_is_found_in_its_column():
    lost = type("Lost", (Wired,), {"turn": staticmethod(lambda scores: scores * [1, 0, 1])})
    assert told(lost, task="multi-label").startswith(
        "taught on 90 separable multi-label texts it gets 58% right of 60 others in the column of 'label1'; 75% is"
    )
    lost.turn = staticmethod(lambda scores: of_sum_1(scores * [1, 0, 1]))
    assert "gets 67% right of 60 others; 75% is asked" in told(lost, task="single-label")


class Rate(Options):
    rate: float = Field(1.0, gt=0, le=10, description="how far each step goes")
    warmup_steps: int = Field(0, ge=0, le=10, description="how many steps are smaller")


class Passes(Rate):
    max_iter: int = Field(1, ge=1, le=10, description="how often all texts are seen")


class Idle(Wired):
    turn = staticmethod(WRONG["the same for every text"]["turn"])

    def __init__(self, options):
        from textclf.testing.toy import LinearOptions

        super().__init__(LinearOptions(epochs=1))


@pytest.mark.parametrize(
    ("options", "way"),
    [
        (Options, "give it an option for their number"),
        (Rate, "check it with other options"),
        (
            Passes,
            "give it options, such as `--set pupil.max_iter=...` or `options={'pupil': {'max_iter': ...}}`",
        ),
    ],
)
def test_an_option_is_named_only_where_it_speaks_of_steps(options, way):
    found = told(Idle, task="single-label", options=options)
    assert found.endswith(f"75% is asked; where it needs more steps for that, {way}")
