"""Options of `torch` that mean nothing are refused before a run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugins.sentiment import TEXTS
from textclf import Engine, RecipeError


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"unfreeze": 2},
            "trainer.unfreeze: 2 is longer than the training; say after which share of all steps every layer is "
            "trained, such as 0.5",
        ),
        ({"layer_decay": 0}, "trainer.layer_decay: must be greater than 0, not 0"),
        (
            {"optimizer": "bert_adam"},
            "trainer.optimizer: must be 'adamw' or 'bertadam', not the text 'bert_adam'; did you mean 'bertadam'?",
        ),
        (
            {"schedule": "one-cycle"},
            "trainer.schedule: must be 'linear', 'cosine', 'constant' or 'one_cycle', not the text 'one-cycle'; did "
            "you mean 'one_cycle'?",
        ),
    ],
)
def test_values_that_mean_nothing_are_named_before_anything_runs(option: dict[str, Any], message: str):
    recipe = {"encoder": {"use": "bert"}, "trainer": {"use": "torch", **option}, "metrics": ["accuracy"]}
    with pytest.raises(RecipeError) as error:
        Engine().plan(recipe, (TEXTS, ["good" if "good" in text else "bad" for text in TEXTS]))
    assert [str(problem) for problem in error.value.problems] == [message]
