"""What is wrong with a component by itself is found before the data are loaded, whatever comes late in a run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.places import placeless
from tests.core.toys import engine, plugin, recipe
from textclf import PluginError

SEEN = "; seen with texts that were made up, before the run"


class Metric:
    greater_is_better = True
    reads_scores = False


class Unweighted(Metric):
    def __call__(self, predictions: Any) -> float:
        return 0.5


class Listing(Metric):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        return 0.5 if weights is None else [0.5] * len(weights)


class Undivided(Metric):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        right = predictions.truth == predictions.predicted
        return float(right.mean()) if weights is None else (weights * right).mean(axis=1)


class Spam(Metric):
    """A metric that knows the labels of its data, which the made-up texts do not have."""

    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        column = predictions.labels.names.index("label0")
        share = predictions.predicted == column
        return float(share.mean()) if weights is None else weights @ share / weights.sum(axis=1)


class Trainer:
    def train(self, *_: Any) -> Any:
        """Nothing, and there is no `restore`."""


def said_before_loading(kind: str, make: Any, **changes: Any) -> str:
    """Return what a run says that ends before its first stage."""
    events: list[Any] = []
    with pytest.raises(PluginError) as caught:
        engine(plugin(kind, "odd", make), observers=[events.append]).run(recipe(**changes))
    assert [type(event).__name__ for event in events] == ["RunStarted", "RunFailed"]
    return placeless(str(caught.value)).removeprefix(f"{kind} 'odd' (plugin textclf_odd): ")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Unweighted, "__call__() fails: TypeError: Unweighted.__call__() takes 2 positional arguments but 3 were "
                     "given"),
        (Listing, "__call__ returned a list for 2 weightings"),
        (Undivided, "__call__ returned 0.666667 without weights and 1 with weights that count each text once, from the "
                    "confusion cells (reads_scores is False); both must be the same"),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_weighted_is_refused_before_anything_is_loaded(make: Any, says: str) -> None:
    assert said_before_loading("metric", make, metrics=["odd"]) == says + SEEN


def test_a_trainer_without_restore_is_refused_before_anything_is_loaded() -> None:
    says = "build() returns a Trainer without 'restore', which the contract of textclf.Trainer asks for"
    assert said_before_loading("trainer", Trainer, trainer="odd") == says


def test_an_output_that_cannot_write_is_refused_before_anything_is_loaded() -> None:
    says = "build() returns a dict without 'write', which the contract of textclf.Output asks for"
    assert said_before_loading("output", dict, outputs=["odd"]) == says


def test_a_metric_that_knows_the_labels_of_its_data_is_not_blamed_for_made_up_ones() -> None:
    done = engine(plugin("metric", "odd", Spam)).run(recipe(metrics=["odd"]))
    assert 0 <= done.report.metrics["odd"].value <= 1
