"""A whole plugin without dependencies, small enough to read in one go: a stand-in for any step of a recipe."""

from __future__ import annotations

import logging

from ...plugin.component import Component, NoOptions, Traits
from ...plugin.events import Event
from .linear import LinearOptions, ToyLinear, linear_traits
from .texts import TextsOptions, ToyTexts, texts_traits
from .verdicts import SummaryOptions, ToyAccuracy, ToySummary
from .words import ToyWords, WordsOptions, restore_words, words_traits


def textclf_datasets() -> list[Component[ToyTexts, TextsOptions]]:
    return [
        Component(
            name="toy_texts",
            summary="generated texts whose words give their labels away",
            options=TextsOptions,
            build=ToyTexts,
            traits=texts_traits,
        )
    ]


def textclf_encoders() -> list[Component[ToyWords, WordsOptions]]:
    return [
        Component(
            name="toy_words",
            summary="hashed words, weighted by how rare they are",
            options=WordsOptions,
            build=ToyWords,
            restore=restore_words,
            traits=words_traits,
        )
    ]


def textclf_trainers() -> list[Component[ToyLinear, LinearOptions]]:
    return [
        Component(
            name="toy_linear",
            summary="softmax or sigmoid regression by plain gradient descent",
            options=LinearOptions,
            build=ToyLinear,
            traits=linear_traits,
        )
    ]


def textclf_metrics() -> list[Component[ToyAccuracy, NoOptions]]:
    return [
        Component(
            name="toy_accuracy",
            summary="the share of texts whose labels are all right",
            build=_accuracy,
            traits=Traits(tasks=frozenset({"single-label", "multi-label"}), pairs=True),
        )
    ]


def textclf_outputs() -> list[Component[ToySummary, SummaryOptions]]:
    return [
        Component(
            name="toy_summary",
            summary="a few numbers of a run as JSON",
            options=SummaryOptions,
            build=ToySummary,
            traits=Traits(tasks=frozenset({"single-label", "multi-label"})),
        )
    ]


def textclf_event(event: Event) -> None:
    logging.getLogger(__name__).info("%s", event.to_json())


def _accuracy(options: NoOptions) -> ToyAccuracy:
    return ToyAccuracy()
