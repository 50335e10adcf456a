"""The peer of training: Hugging Face's Trainer, with its defaults or as an expert sets it.

    python benchmarks/peers/hf_trainer.py --plain  --data FOLDER --checkpoint FOLDER --epochs 2
    python benchmarks/peers/hf_trainer.py --expert '{"batch_size": 32}' --data FOLDER --checkpoint FOLDER --epochs 2

As a script it reads train.csv and test.csv (columns text and label), trains, predicts the test texts and prints its
accuracy. `training.py` and others drive it in blocks instead (see talking.py).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true", TRANSFORMERS_VERBOSITY="error")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import transformers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

# What its users have who set nothing: the Trainer's own defaults, and the dropout of BERT's paper.
DEFAULTS: dict[str, Any] = {"batch_size": 8}
# Where an expert's search begins; `accumulate` passes of `batch_size` texts make one step.
EXPERT: dict[str, Any] = {
    "batch_size": 32, "accumulate": 1, "sampling": "group_by_length", "optim": "adamw_torch_fused", "bf16": False,
    "matmul": "highest", "attention": "sdpa", "attention_dropout": 0.0, "threads": None, "compile": False,
}  # fmt: skip


class Grouped(torch.utils.data.Sampler[int]):
    """The batches of `group_by_length`, those of a block being of all lengths and not only of the longest."""

    def __init__(self, lengths: list[int], batch: int, steps: int) -> None:
        self._lengths, self._batch, self._steps = lengths, batch, steps
        self._blocks = max(1, len(lengths) // batch // steps)

    def __len__(self) -> int:
        return self._blocks * min(self._steps, len(self._lengths) // self._batch) * self._batch

    def __iter__(self) -> Any:
        drawn = get_length_grouped_indices(self._lengths, self._batch)
        batches = [drawn[i : i + self._batch] for i in range(0, len(drawn) - self._batch + 1, self._batch)]
        batches.sort(key=lambda batch: sum(self._lengths[row] for row in batch))
        for block in torch.randperm(self._blocks).tolist():
            # From each stratum of lengths one batch, to and fro, so that no block has the shorter ones of all.
            places = (block, self._blocks - 1 - block)
            steps = len(self) // self._batch // self._blocks
            of_all_lengths = [batches[i * self._blocks + places[i % 2]] for i in range(steps)]
            for place in torch.randperm(len(of_all_lengths)).tolist():
                yield from of_all_lengths[place]


class Blocks(Trainer):
    """The Trainer, counting real tokens and losses, under the learning rates that the other side has."""

    total, warmup, block = 1, 0.1, 0
    tokens: Any = 0
    losses: Any = 0.0

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        self.tokens = self.tokens + inputs["attention_mask"].sum()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.losses = self.losses + loss
        return loss

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        rising = math.ceil(self.warmup * self.total)

        def rate(step: int) -> float:
            return min((step + 1) / max(1, rising), max(0.0, (self.total - step) / max(1, self.total - rising)))

        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
        return self.lr_scheduler

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if not self.block or self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        return Grouped(lengths, batch, self.block)


class Ended(Exception):  # noqa: N818 - no fault
    """The driver wants no more steps."""


class Paced(TrainerCallback):
    """Lets the Trainer go on for as many steps as the driver asks for, and tells it of them."""

    def __init__(self, driver: Any) -> None:
        self.driver, self.left, self.taken, self.began = driver, 0, 0, 0.0
        self.trainer: Any = None

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        of_all = sum(len(row["input_ids"]) for row in self.trainer.train_dataset)
        self.driver.tell({"ready": True, "tokens": of_all})
        self._wait()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.left -= 1
        if self.left > 0:
            return
        tokens, losses = int(self.trainer.tokens), float(self.trainer.losses)  # on a GPU this waits for it
        seconds = time.perf_counter() - self.began
        self.driver.tell({"tokens": tokens, "seconds": seconds, "loss": losses / self.taken})
        self._wait()

    def _wait(self) -> None:
        heard = self.driver.hear()
        if heard["do"] != "steps":
            raise Ended
        self.left = self.taken = heard["steps"]
        self.trainer.tokens, self.trainer.losses = 0, 0.0
        self.began = time.perf_counter()


def arguments_of(given: dict[str, Any], folder: str, device: str, **more: Any) -> TrainingArguments:
    """Return the Trainer's own arguments: evaluation, logging and saving off."""
    known = {
        "batch_size": "per_device_train_batch_size", "accumulate": "gradient_accumulation_steps",
        "sampling": "train_sampling_strategy", "optim": "optim", "bf16": "bf16", "compile": "torch_compile",
        "workers": "dataloader_num_workers",
    }  # fmt: skip
    chosen = {argument: given[name] for name, argument in known.items() if name in given}
    if given.get("sampling"):
        chosen["logging_nan_inf_filter"] = False  # an expert's: it waits for the GPU in each step
    return TrainingArguments(
        output_dir=folder, eval_strategy="no", logging_strategy="no", save_strategy="no", report_to="none",
        disable_tqdm=True, use_cpu=device == "cpu", **chosen, **more,
    )  # fmt: skip


def network_of(folder: Path, given: dict[str, Any], dropout: float | None, **more: Any) -> Any:
    """Return the network of a folder; what no setting speaks of is as the checkpoint has it, or as the library does."""
    if "attention_dropout" in given:
        more["attention_probs_dropout_prob"] = given["attention_dropout"]
    if dropout is not None:
        more["hidden_dropout_prob"] = dropout
    if given.get("attention"):
        more["attn_implementation"] = given["attention"]
    torch.set_float32_matmul_precision(given.get("matmul") or "highest")
    torch.set_num_threads(given.get("threads") or torch.get_num_threads())
    return AutoModelForSequenceClassification.from_pretrained(str(folder), **more)


def rows_of(tokenizer: Any, texts: list[str], labels: list[int], max_length: int) -> list[dict[str, Any]]:
    found = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
    return [{"input_ids": ids, "labels": label} for ids, label in zip(found, labels, strict=True)]


def logits_of(trainer: Trainer, rows: list[dict[str, Any]]) -> Any:
    """Return the logits of rows in their order, which grouping by length would not keep in prediction either."""
    trainer.args.train_sampling_strategy = "random"
    return trainer.predict(rows).predictions


def train_in_blocks(driver: Any, asked: dict[str, Any]) -> None:
    """Train with one set of settings until the driver ends it."""
    import texts

    parts, given = texts.read(Path(asked["data"])), asked["settings"]
    tokenizer = AutoTokenizer.from_pretrained(asked["start"])
    rows = rows_of(tokenizer, parts["train"].texts, parts["train"].labels, asked["max_length"])
    pace = Paced(driver)
    network = network_of(Path(asked["start"]), {"attention_dropout": 0.1, **given}, asked["dropout"])
    with tempfile.TemporaryDirectory() as folder:
        told = arguments_of(
            given, folder, asked["device"], learning_rate=asked["learning_rate"], weight_decay=0.01, seed=asked["seed"],
            max_steps=asked["total"],
        )  # fmt: skip
        trainer = Blocks(
            model=network, args=told, train_dataset=rows, processing_class=tokenizer, callbacks=[pace],
            data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=given.get("multiple")),
        )  # fmt: skip
        trainer.total, trainer.block, pace.trainer = asked["total"], asked["block"], trainer
        # The loss of BERT's head is a mean already; without this, accumulated gradients would come out too long.
        trainer.model_accepts_loss_kwargs = False
        with contextlib.suppress(Ended):
            trainer.train()
        if asked.get("logits"):
            test = rows_of(tokenizer, parts["test"].texts, parts["test"].labels, asked["max_length"])
            np.save(asked["logits"], logits_of(trainer, test))
    driver.tell({"ended": True})


def serve() -> None:
    from talking import Driver

    driver = Driver()
    while True:
        train_in_blocks(driver, driver.hear())


def read_rows(file: Path) -> tuple[list[str], list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def script(chosen: argparse.Namespace) -> None:
    """Train once from the pretrained checkpoint and print the accuracy: what a user writes, and no more."""
    given = {**EXPERT, **json.loads(chosen.expert)} if chosen.expert else DEFAULTS
    texts, labels = read_rows(chosen.data / "train.csv")
    names = sorted(set(labels))
    tokenizer = AutoTokenizer.from_pretrained(str(chosen.checkpoint))
    rows = rows_of(tokenizer, texts, [names.index(label) for label in labels], chosen.max_length)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    transformers.set_seed(chosen.seed)
    network = network_of(chosen.checkpoint, given, chosen.dropout if chosen.expert else None, num_labels=len(names))
    rate = {"learning_rate": chosen.learning_rate, "warmup_steps": 0.1, "weight_decay": 0.01} if chosen.expert else {}
    with tempfile.TemporaryDirectory() as folder:
        told = arguments_of(given, folder, device, num_train_epochs=chosen.epochs, seed=chosen.seed, **rate)
        trainer = Trainer(model=network, args=told, train_dataset=rows, processing_class=tokenizer)
        trainer.model_accepts_loss_kwargs = trainer.model_accepts_loss_kwargs and given.get("accumulate", 1) == 1
        trainer.train()
        texts, labels = read_rows(chosen.data / "test.csv")
        test = rows_of(tokenizer, texts, [names.index(label) for label in labels], chosen.max_length)
        found = logits_of(trainer, test).argmax(axis=1)
    right = sum(names[column] == label for column, label in zip(found, labels, strict=True))
    print(json.dumps({"accuracy": right / len(labels)}))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--plain", action="store_true", help="the Trainer's defaults")
    how.add_argument("--expert", metavar="JSON", help="an expert's settings, where they differ from the usual ones")
    how.add_argument("--serve", action="store_true", help="work in blocks, on command")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="of the expert; --plain has the default")
    parser.add_argument("--dropout", type=float, default=None, help="hidden dropout of the expert")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        serve()
    else:
        script(chosen)


if __name__ == "__main__":
    main(sys.argv[1:])
