"""What events hold: any library's numbers become plain, and what JSON does not know costs a run no more than a word."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toys import engine, plugin, recipe
from textclf import Accounted, Chosen, EpochFinished, Event, Options, Progress, Result, Warned
from textclf.run.journal import Journal
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Unsayable:
    def __str__(self) -> str:
        raise ValueError("no words")


def told(choice: Any) -> tuple[Any, list[str]]:
    """Return what a journal keeps of a choice, as its observers hear of it, and its warnings."""
    heard: list[Event] = []
    journal = Journal([("mine", heard.append)], [].append, parts={"train": "trainer 'own'"})
    with journal.stage("train"):
        journal.emit(Chosen(what="a", choice=choice))
    [chosen] = [event for event in heard if isinstance(event, Chosen)]
    assert chosen.choice == journal.choices["a"]
    return chosen.choice, journal.warnings


@pytest.mark.parametrize(
    ("choice", "plain"),
    [
        (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (np.longdouble(0.5), 0.5), (np.int64(5), 5), (np.True_, True),
        (np.str_("a"), "a"), (np.arange(3), [0, 1, 2]), (np.array(2), 2), ((1, (2,)), [1, [2]]),
        ({"b", "a"}, ["a", "b"]),
        ({"a": np.float32(1), 2: (3,), np.int64(4): None}, {"a": 1.0, "2": [3], "4": None}), (Fraction(1, 2), 0.5),
        (Color.RED, "red"), (Level.LOW, 1), (Path("a/b"), "a/b"), (None, None), ("text", "text"),
    ],
)  # fmt: skip
def test_what_stands_for_something_plain_becomes_it(choice: Any, plain: Any) -> None:
    found, warnings = told(choice)
    assert (json.dumps(found), type(found), warnings) == (json.dumps(plain), type(plain), [])


@pytest.mark.parametrize(
    ("choice", "text", "kind"),
    [
        (Decimal("0.5"), "0.5", "a Decimal"),
        ([1j], ["1j"], "a complex"),
        ({"a": Unsayable()}, {"a": "an Unsayable"}, "an Unsayable"),
    ],
)
def test_what_json_does_not_know_is_kept_as_text_with_a_warning_that_names_the_plugin(
    choice: Any, text: Any, kind: str
) -> None:
    said = f"trainer 'own': the event Chosen holds {kind} in 'choice', which JSON does not know; it is kept as text"
    assert told(choice) == (text, [said])


def test_a_list_that_holds_itself_has_an_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    found, [warning] = told(endless)
    assert json.dumps(found)
    assert "holds a list in 'choice'" in warning


def test_an_event_that_is_plain_is_kept_as_it_is() -> None:
    kept: list[Event] = []
    event = Warned(message="careful")
    Journal([], kept.append).emit(event)
    assert kept[0] is event


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


def test_a_choice_that_is_no_json_does_not_either() -> None:
    result = trained(Chosen(what="rate", choice={(1, 2): Unsayable()}))
    assert result.report.choices == {"rate": {"(1, 2)": "an Unsayable"}}
    assert result.report.warnings == (
        "trainer 'own' (plugin textclf_own): the event Chosen holds an Unsayable in 'choice', which JSON does not "
        "know; it is kept as text",
    )
