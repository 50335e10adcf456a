"""What a component returns against its contract is caught at the border, by its plugin's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.places import placeless
from tests.toys import BOTH, contents, engine, plugin, recipe
from textclf import DataError, Dataset, Labels, PluginError, RecipeError, Split, Texts, Traits
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel, ToyWords, WordsOptions

AB = Labels(("a", "b"))
TEXTS = Texts(["p", "q", "r", "s"])
SOUND = np.array([0, 1, 0, 1])


class Provider:
    def __init__(self, data: Any) -> None:
        self.data = data

    def load(self, context: Any) -> Any:
        return self.data


def refusal(kind: str, make: Callable[[], Any]) -> str:
    with pytest.raises(PluginError) as raised:
        engine(plugin(kind, "odd", make)).run(recipe(**{kind: "odd"}))
    message = placeless(str(raised.value))
    assert message.startswith(f"{kind} 'odd' (plugin textclf_odd): ")
    return message.partition("): ")[2]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "load returned nothing, not a textclf.Dataset"),
        (
            Dataset(None, Split(TEXTS, SOUND)),  # type: ignore[arg-type]
            "load returned a dataset whose labels are a NoneType, not textclf.Labels",
        ),
        (Dataset(AB, [1]), "load returned a dataset whose train is a list, not a textclf.Split"),  # type: ignore[arg-type]
        (
            Dataset(AB, Split(TEXTS, [0, 1, 0, 1])),  # type: ignore[arg-type]
            "load returned a dataset whose train labels are a list, not an array",
        ),
        (
            Dataset(AB, Split(TEXTS, SOUND * 1.0)),
            "load returned a dataset whose train labels are float64[4], not int64[4]",
        ),
        (
            Dataset(AB, Split(TEXTS, SOUND * 3 - 1)),
            "load returned a dataset whose train labels run from -1 to 2, but there are 2 labels (0 to 1)",
        ),
        (
            Dataset(AB, Split(Texts(["p", 5, "r", None]), SOUND)),  # type: ignore[list-item]
            "load returned a dataset whose train texts are not all of type str: row 1 is a int",
        ),
        (
            Dataset(AB, Split(TEXTS, SOUND, [1, 2, 3, 4])),  # type: ignore[list-item]
            "load returned a dataset whose train ids are not all of type str: row 0 is a int",
        ),
        (
            Dataset(AB, Split(TEXTS, SOUND), test=Split(Texts(["p"], ["q"]), SOUND[:1])),
            "load returned a dataset whose test texts are pairs, unlike those of train",
        ),
        *(
            (
                Dataset(AB, Split(TEXTS, SOUND), **{name: Split(Texts([]), SOUND[:0])}),
                f"load returned a dataset whose {name} split is empty; leave it out (None), and it is drawn from train",
            )
            for name in ("validation", "test")
        ),
    ],
)  # fmt: skip
def test_a_dataset_that_breaks_the_contract_is_named(data: Any, says: str) -> None:
    """P04: wrong type, length or range from a dataset."""
    assert refusal("dataset", lambda: Provider(data)) == says


def encoding(made: Callable[[Any], Any]) -> Callable[[], Any]:
    class Odd(ToyWords):
        def encode(self, texts: Texts, context: Any) -> Any:
            return made(super().encode(texts, context))

    return lambda: Odd(WordsOptions())


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda f: None, "encode returned nothing, which has no rows"),
        (lambda f: f[1:], "encode returned 31 rows of features for 32 texts"),
        (lambda f: f.tolist(), "encode returned a list, but its traits say 'matrix'"),
        (
            lambda f: f[:, 0],
            "encode returned an array of shape (32,), but its traits say 'matrix', which has rows and columns",
        ),
        (lambda f: f * np.nan, "encode returned features that are NaN or infinite"),
        (lambda f: 1 / 0, "encode() fails: ZeroDivisionError: division by zero"),
    ],
)
def test_an_encoder_that_breaks_the_contract_is_named(made: Callable[[Any], Any], says: str) -> None:
    """P04: wrong type, length or NaN from an encoder."""
    assert refusal("encoder", encoding(made)) == says


def test_a_fingerprint_that_is_no_text_is_named() -> None:
    """P04: a method that returns another type."""

    class Odd(ToyWords):
        def fingerprint(self) -> Any:
            return 7

    assert refusal("encoder", lambda: Odd(WordsOptions())) == "fingerprint returned an int, not a str"


def scoring(made: Callable[[Any], Any]) -> Callable[[], Any]:
    class Model(ToyModel):
        def scores(self, features: Any, context: Any) -> Any:
            return made(super().scores(features, context))

    class Odd(ToyLinear):
        def train(self, *steps: Any) -> Any:
            trained = super().train(*steps)
            return Model(trained.weights, trained.task)

    return lambda: Odd(LinearOptions(epochs=2))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda s: s.tolist(), "Model.scores returned a list, not an array of float32 [texts, labels]"),
        (lambda s: s[:, :1], "Model.scores returned shape (8, 1) for 8 texts and 2 labels"),
        (lambda s: s.astype(np.float64), "Model.scores returned float64, not float32"),
        (
            lambda s: s * np.float32(np.nan),
            "Model.scores returned NaN or infinite scores for 8 texts (the first is text 0)",
        ),
        (lambda s: s - 2, "returned scores from"),
        (lambda s: s / 2, "Model.scores returned rows that do not sum to 1"),
        (lambda s: 1 / 0, "scores() fails: ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_scores_that_break_the_contract_are_named(made: Callable[[Any], Any], says: str) -> None:
    """P04: wrong type, length, range or NaN from a trainer's model."""
    assert says in refusal("trainer", scoring(made))


def test_a_trainer_that_returns_no_model_is_named() -> None:
    """P04: a trainer of the wrong type."""

    class Odd(ToyLinear):
        def train(self, *steps: Any) -> Any:
            return "a model"

    assert refusal("trainer", lambda: Odd(LinearOptions())) == (
        "train() returns a str without 'scores', 'save', which the contract of textclf.Model requires"
    )


def test_a_metric_that_returns_a_text_is_named() -> None:
    """P04: wrong type from a metric, also where it judges the baseline."""

    class Odd:
        greater_is_better = True
        reads_scores = False

        def __call__(self, predictions: Any, weights: Any = None) -> Any:
            return "good"

    with pytest.raises(PluginError, match=r"^metric 'odd' \(plugin textclf_odd\): __call__ returned a str"):
        engine(plugin("metric", "odd", Odd)).run(recipe(metrics=["odd"]))


def test_invalid_data_of_the_caller_is_named() -> None:
    with pytest.raises(DataError, match=r"^the dataset's train labels run from 0 to 2, but there are 2 labels"):
        engine().run(recipe(dataset=None), Dataset(AB, Split(TEXTS, SOUND * 2)))


def test_narrow_integers_are_labels_as_well() -> None:
    texts = [f"{'good' if i % 2 else 'bad'} {i}" for i in range(40)]
    wide, narrow = (Dataset(AB, Split(Texts(texts), (np.arange(40) % 2).astype(t))) for t in (np.int64, np.uint8))
    assert contents(engine().run(recipe(dataset=None), wide)) == contents(engine().run(recipe(dataset=None), narrow))


def test_features_are_made_once_for_runs_that_differ_in_training_only() -> None:
    made: list[int] = []

    def counted(features: Any) -> Any:
        made.append(len(features))
        return features

    ready = engine(plugin("encoder", "odd", encoding(counted)))
    for seed in (1, 2):
        ready.run(recipe(encoder="odd", seed=seed))
    assert made == [32, 8, 8, 8]


def test_a_threshold_that_could_have_no_effect_is_refused() -> None:
    three = {"use": "toy_texts", "size": 40, "labels": 3}
    with pytest.raises(RecipeError, match=r"^decide\.threshold: cuts .* the data has 3 single labels; remove it$"):
        engine().run(recipe(dataset=three, decide={"threshold": 0.4}))
    several = {**three, "multi_label": True}
    with pytest.raises(RecipeError, match=r"^decide\.abstain_below: is for single labels"):
        engine().run(recipe(dataset=several, decide={"abstain_below": 0.4}))


def test_texts_without_labels_reach_a_trainer_that_uses_them_and_no_other() -> None:
    seen: list[Any] = []

    class Curious(ToyLinear):
        def train(self, encoder: Any, train: Any, *others: Any) -> Any:
            seen.append(train.unlabelled)
            return super().train(encoder, train, *others)

    data = {"use": "toy_texts", "size": 40, "unlabelled": 12}
    for uses in (True, False):
        traits = Traits(reads=frozenset({"matrix"}), tasks=BOTH, pairs=True, uses_unlabelled=uses)
        curious = plugin("trainer", "curious", lambda: Curious(LinearOptions(epochs=2)), traits=traits)
        result = engine(curious).run(recipe(dataset=data, trainer="curious", split={"labelled": 10}))
        assert result.report.sizes["train"] == 10
    given, none = seen
    assert len(given) == result.report.split["texts"] - 10 - result.report.sizes["test"] + 12
    assert none is None


@pytest.mark.parametrize("multiple", [False, True])
def test_what_a_plugin_writes_into_the_labels_it_is_given_nobody_else_sees(multiple: bool) -> None:
    class Erasing(ToyWords):
        def fit(self, train: Any, context: Any) -> None:
            super().fit(train, context)
            train.labels[:] = 0

    class Spoiling(ToyLinear):
        def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
            model = super().train(encoder, train, validation, labels, context)
            for split in (train, validation):
                split.labels[:] = 0
            return model

    texts = [f"{word} number {n}" for n in range(20) for word in ("good", "bad")]
    labels = [["good"], ["bad", "good"]] * 20 if multiple else ["good", "bad"] * 20
    traits = Traits(reads=frozenset({"matrix"}), tasks=BOTH, uses_validation=True)
    changes = {"dataset": None, "split": {"validation": 0.2}, "decide": {"threshold": "tuned"}}

    def run(encoder: type[ToyWords], trainer: type[ToyLinear]) -> Any:
        words = plugin("encoder", "words", lambda: encoder(WordsOptions()))
        linear = plugin("trainer", "linear", lambda: trainer(LinearOptions()), traits=traits)
        return engine(words, linear).run(recipe(encoder="words", trainer="linear", **changes), (texts, labels))

    done = run(ToyWords, ToyLinear), run(Erasing, Spoiling)
    assert contents(done[0]) == contents(done[1])
    one, other = (each.report for each in done)
    assert (one.baseline, one.validation) == (other.baseline, other.validation)
