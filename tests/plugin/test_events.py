"""Events as JSON: numbers of any library become plain, and what JSON lacks becomes text."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.places import placeless
from tests.toys import engine, plugin, recipe
from textclf import Accounted, Chosen, EpochFinished, Event, Options, PluginError, Progress, Result, Warned
from textclf.run.journal import Journal
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("choice", "plain"),
    [
        (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (np.int64(5), 5), (np.True_, True),
        (np.str_("a"), "a"), (np.arange(3), [0, 1, 2]), (np.array(2), 2), ((1, (2,)), [1, [2]]),
        ({"b", "a"}, ["a", "b"]), ({"a": np.float32(1), 2: (3,)}, {"a": 1.0, "2": [3]}),
        (Color.RED, "red"), (Level.LOW, 1), (Path("a/b"), "a/b"), ("text", "text"),
        (Decimal("0.5"), "0.5"), (Fraction(1, 2), "1/2"), ([1j], ["1j"]),
    ],
)  # fmt: skip
def test_a_choice_is_plain_json_in_the_journal_and_in_the_event(choice: Any, plain: Any) -> None:
    event = Chosen(what="a", choice=choice)
    journal = Journal([], [].append)
    journal.emit(event)
    for found in (journal.choices["a"], event.to_json()["choice"], event.about()["choice"]):
        assert (json.dumps(found), type(found)) == (json.dumps(plain), type(plain))


def test_an_event_outside_a_run_has_no_run_in_its_json() -> None:
    assert set(Warned(message="careful").to_json()) == {"event", "time", "message", "stage"}
    assert Warned(message="careful", run="runs/a/1").to_json()["run"] == "runs/a/1"


class RateOptions(Options):
    rate: float | None = None


def trained(*events: Event) -> Result:
    class Telling(ToyLinear):
        def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> ToyModel:
            for event in events:
                context.emit(event)
            return super().train(encoder, train, validation, labels, context)

    own = plugin("trainer", "own", lambda: Telling(LinearOptions(epochs=25)), options=RateOptions)
    result = engine(own).run(recipe(trainer="own"))
    assert isinstance(result, Result)
    assert engine(own).resume(result.folder).report == result.report  # type: ignore[union-attr]
    return result


def test_numpys_numbers_in_events_do_not_cost_a_run_its_report() -> None:
    result = trained(
        Accounted(stage="train", tokens=np.int64(9), seconds=np.float32(1), tokens_per_second=np.float32(3),
                  parts={"forward": np.float32(1)}),
        Progress(stage="train", done=np.int64(1), total=np.int64(1), tokens_per_second=np.float32(3)),
        EpochFinished(epoch=np.int64(1), epochs=np.float32(1), step=np.int64(1), loss=np.float32(0.5)),
        Chosen(what="rate", choice=np.float32(0.5), options={"trainer.rate": np.float32(0.5)}),
    )  # fmt: skip
    assert result.report.warnings == ()
    assert (result.report.choices, result.report.tokens_per_second) == ({"rate": 0.5}, 3.0)
    assert json.loads((result.folder / "metrics.json").read_text("utf-8"))["accounts"]["train"]["tokens"] == 9
    assert "rate: 0.5" in (result.folder / "recipe.yaml").read_text("utf-8")


def test_an_event_that_cannot_be_json_is_its_trainers_error() -> None:
    """P04: plugin and method are named."""
    with pytest.raises(PluginError) as caught:
        trained(Chosen(what="rate", choice={(1, 2): 3}))
    assert placeless(str(caught.value)).startswith(
        "trainer 'own' (plugin textclf_own): train() fails: TypeError: keys must be str, int, float, bool or None"
    )
