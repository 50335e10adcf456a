"""What a person reads of a run's speed: what it will take, and where its time went."""

from __future__ import annotations

import pytest

from textclf import Accounted, Forecast
from textclf.cli.progress import sentence
from textclf.cli.render import account


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Accounted(
                stage="train", tokens=9000, seconds=6.2, tokens_per_second=1451.6, padding=0.0, peak_share=0.427,
                parts={"backward": 3.0, "forward": 2.0, "optimiser": 1.15, "saving": 0.05},
            ),
            "train: 1,452 tokens per second, 43 % of the measured matrix peak, no padding; "
            "backward 48 %, forward 32 %, optimiser 19 %",
        ),
        (
            Accounted(stage="train", tokens=9, seconds=1, tokens_per_second=9, padding=0.114, first_step=1200),
            "train: 9 tokens per second, 11 % padding, from step 1,200 on",
        ),
        (Accounted(stage="score", tokens=9, seconds=1, tokens_per_second=9), "score: 9 tokens per second"),
    ],
)  # fmt: skip
def test_a_stage_is_accounted_for_in_one_line(event: Accounted, line: str) -> None:
    assert account(event.stage, event.about()) == line


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Forecast(stage="train", memory=42 * 10**7, memory_free=321 * 10**7, disk=83 * 10**7, disk_free=2 * 10**10),
            "train: needs about 420 MB of memory (3.2 GB free) and 830 MB of disk (20.0 GB free)",
        ),
        (Forecast(stage="train", memory=5_000_000, disk=0, disk_free=9), "train: needs about 5 MB of memory"),
        (Forecast(stage="train", seconds=312.0), "train: about 5 min 12 s to go"),
        (
            Forecast(stage="train", seconds=7320.0, advice={"on a GPU": 63, "one epoch: --set trainer.epochs=1": 3660}),
            "train: about 2 h 2 min to go; shorter would be\n  on a GPU: about 1 min 3 s\n"
            "  one epoch: --set trainer.epochs=1: about 1 h 1 min",
        ),
    ],
)  # fmt: skip
def test_what_a_stage_will_take_is_said_in_a_sentence(event: Forecast, line: str) -> None:
    assert sentence(event) == line
