"""textclf's side of a training comparison: its trainer, driven in blocks through the contracts that plugins see.

The trainer asks its context before each step whether to stop; that question is where the driver paces it. So nothing
of how the trainer works inside is known here.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import texts
from talking import Driver

from textclf import Chosen, Encoded, Engine, Event, Labels, Progress, Split, Stopped, Texts
from textclf.plugin.context import RunContext


class Pace:
    """Answers the trainer's question whether to stop, and counts its steps by it."""

    def __init__(self, driver: Driver, batch: int, seed: int, lengths: Any) -> None:
        self._driver, self._batch, self._seed, self._lengths = driver, batch, seed, lengths
        self._step, self._left, self._first, self._began = -1, 0, 0, 0.0
        self._profiler: Any = None
        self._loss = float("nan")
        self.choices: list[str] = []

    def stopping(self) -> bool:
        self._step += 1
        self._left -= 1
        if self._left > 0:
            return False
        if self._step == 0:
            self._driver.tell({"ready": True, "choices": self.choices, "tokens": int(self._lengths.sum())})
        else:
            self._driver.tell(self._told())
        heard = self._driver.hear()
        self._left, self._first = heard.get("steps", 0), self._step
        if heard.get("profile"):
            self._profiler = _profiler()
            self._profiler.__enter__()
        self._began = time.perf_counter()
        return heard["do"] != "steps"

    def finish(self) -> None:
        """Tell of the last block, after which the trainer asks nothing any more."""
        self._step += 1
        self._driver.tell(self._told())

    def emit(self, event: Event) -> None:
        if isinstance(event, Chosen):
            self.choices.append(f"{event.what}: {event.choice}" + (f" ({event.why})" if event.why else ""))
        if isinstance(event, Progress) and event.stage == "train":
            self._loss = event.loss if event.loss is not None else self._loss
            if event.done != self._step + 1:
                raise RuntimeError(f"the trainer stands at step {event.done}, not {self._step + 1}: blocks are wrong")

    def _told(self) -> dict[str, Any]:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds, profile = time.perf_counter() - self._began, ""
        if self._profiler is not None:
            self._profiler.__exit__(None, None, None)
            key = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
            profile = self._profiler.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=45)
            self._profiler = None
        tokens = sum(int(self._lengths[self._rows(step)].sum()) for step in range(self._first, self._step))
        return {"tokens": tokens, "seconds": seconds, "loss": self._loss, "profile": profile}

    def _rows(self, step: int) -> Any:
        """Return the texts of a step, as the trainer draws them."""
        from textclf_torch.batches import order

        epoch, position = divmod(step, -(-len(self._lengths) // self._batch))
        drawn = order(len(self._lengths), epoch, self._seed)
        return drawn[position * self._batch : (position + 1) * self._batch]


def _profiler() -> Any:
    from torch.profiler import ProfilerActivity, profile

    return profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])


def recipe_of(asked: dict[str, Any], texts_in_all: int) -> dict[str, Any]:
    epochs = asked["total"] / -(-texts_in_all // asked["batch_size"])
    return {
        "name": "benchmark",
        "dataset": {"use": "reviews"},
        "encoder": {
            "use": "bert", "checkpoint": asked["checkpoint"], "max_length": asked["max_length"],
            "dropout": asked["dropout"],
        },
        "trainer": {
            "use": "torch", "device": asked["device"], "batch_size": asked["batch_size"],
            "epochs": min(10_000, epochs), "learning_rate": asked["learning_rate"], **asked.get("trainer", {}),
        },
    }  # fmt: skip


def train_in_blocks(driver: Driver, asked: dict[str, Any], work: Path) -> None:
    """Train until the driver ends it; `start`: where to write the first weights, from which the other side begins."""
    parts, labels = texts.read(Path(asked["data"])), Labels(texts.NAMES, positive=texts.NAMES[1])
    train = _split(parts["train"])
    plan = Engine(cache=work, offline=True).plan(recipe_of(asked, len(train)))
    encoder: Any = plan.encoder.build()
    quiet = RunContext(asked["seed"], work, lambda event: None, offline=True)
    encoder.fit(train, quiet)
    features = encoder.encode(train.texts, quiet)
    lengths = np.array(encoder.lengths(features))
    _watch(encoder, asked)
    pace = Pace(driver, asked["batch_size"], asked["seed"], lengths)
    context = RunContext(asked["seed"], work, pace.emit, "train", offline=True, stopping=pace.stopping)
    trainer: Any = plan.trainer.build()
    try:
        model = trainer.train(encoder, Encoded(features, train.labels), None, labels, context)
    except Stopped:
        driver.tell({"ended": True})
        return
    pace.finish()
    driver.hear()
    if asked.get("logits"):
        test = encoder.encode(_split(parts["test"]).texts, quiet)
        np.save(asked["logits"], np.log(np.maximum(model.scores(test, quiet), 1e-30)))
    driver.tell({"ended": True})


def _split(part: texts.Labelled) -> Split:
    return Split(Texts(part.texts), np.array(part.labels, np.int64), [str(i) for i in range(len(part))])


def _watch(encoder: Any, asked: dict[str, Any]) -> None:
    """Let the encoder write its new network down for the other side, and forget layouts that are not asked for."""
    build = encoder.build_network

    def building(labels: Labels) -> Any:
        network = build(labels)
        if asked.get("layout"):
            encoder.layouts = (asked["layout"],)
        if asked.get("start"):
            encoder.save_network(network, Path(asked["start"]))
            encoder.save(Path(asked["start"]))
        return network

    encoder.build_network = building


def lengths_of(asked: dict[str, Any], work: Path) -> dict[str, Any]:
    """Return the lengths of the training texts, as the network sees them."""
    train = _split(texts.read(Path(asked["data"]))["train"])
    plan = Engine(cache=work, offline=True).plan(recipe_of(asked, len(train)))
    encoder: Any = plan.encoder.build()
    context = RunContext(0, work, lambda event: None, offline=True)
    encoder.fit(train, context)
    return {"lengths": [int(length) for length in encoder.lengths(encoder.encode(train.texts, context))]}


def main() -> None:
    driver = Driver()
    with TemporaryDirectory() as work:
        while True:
            asked = driver.hear()
            if asked["do"] == "lengths":
                driver.tell(lengths_of(asked, Path(work)))
            else:
                train_in_blocks(driver, asked, Path(work))


if __name__ == "__main__":
    main()
