"""Writes the runs of this folder with textclf 0.1.0; newer versions only read them.

    python tests/house/version_0_1/make.py

This was run once, with the versions that `runs/*/*/record.json` name. Do not run it with a newer textclf: the runs are
worth something only because an old version wrote them. It does everything in this folder, and replaces what is there.

The texts are invented here. Every choice that a machine could make otherwise (device, precision, products, lanes) is
said in the recipes. What the record tells of the machine, and the folder that absolute paths name, is made neutral.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import random
import re
import shutil
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NEUTRAL = "/home/me/texts"

# For each team what its tickets speak of, and how they go on.
TEAMS = {
    "billing": (("invoice", "card", "refund", "payment"), ("charged twice", "too high", "missing", "declined")),
    "delivery": (("parcel", "box", "courier", "order"), ("late", "lost", "damaged", "at the wrong door")),
    "login": (("password", "account", "code", "screen"), ("locked", "rejected", "frozen", "forgotten")),
}
STARTS = ("my", "the", "please help, my", "since monday the", "again the", "hello, our")
ENDS = ("", " and nobody answers", ", thank you", " for the second time", "!", " - what now?")
MOODS = {"urgent": (" and nobody answers", "!", " - what now?"), "polite": (", thank you",)}

WORDS = """\
version: 1
name: words
seed: 3
dataset: {use: files, path: tickets.csv, text: text, label: team, id: ticket}
clean: [whitespace]
split: {test: 0.3, seed: 1}
encoder: {use: tfidf, ngrams: [1, 2], sublinear: true, idf: true, min_df: 2, max_features: 200}
trainer: {use: logistic, C: 5.0, class_weight: balanced}
metrics: [accuracy, f1_macro]
outputs: [html]
report: {draws: 200}
"""
MOODS_RECIPE = """\
version: 1
name: moods
seed: 3
dataset: {use: files, path: tickets.csv, text: text, labels: moods, labels_delimiter: ";"}
split: {test: 0.3, validation: 0.2, seed: 1}
encoder: {use: tfidf, analyzer: char, ngrams: [2, 3], sublinear: false, idf: false, max_features: 150}
trainer: {use: naive_bayes, alpha: 0.5}
metrics: [f1_micro, accuracy]
decide: {threshold: tuned}
report: {draws: 200}
"""
STUDY = """\
version: 1
name: study
seeds: [0, 1]
dataset: {use: files, path: tickets.csv, text: text, label: team, id: ticket}
split: {test: 0.3, seed: 1}
encoder: {use: tfidf, ngrams: [1, 1], max_features: 100}
trainer: {use: linear_svm, folds: 2, class_weight: balanced}
metrics: [accuracy, f1_macro]
report: {draws: 200}
"""
_TORCH = """\
trainer:
  use: torch
  device: cpu
  precision: float32
  matmul: highest
  lanes: 1
  epochs: 4
  batch_size: 16
  learning_rate: 1e-2
  epsilon: 1e-7
  class_weights: balanced
  early_stopping: 4
  checkpoint_every: 8
metrics: [accuracy, f1_macro]
report: {draws: 200}
"""
NETWORK = """\
version: 1
name: network
seed: 3
dataset: {use: files, path: tickets.csv, text: text, label: team, id: ticket}
clean: [whitespace]
split: {test: 0.3, validation: 0.2, seed: 1}
encoder: {use: transformer, checkpoint: checkpoint, max_length: 32}
"""
VECTORS = """\
version: 1
name: vectors
seed: 3
dataset: {use: files, path: tickets.csv, text: text, label: team, id: ticket}
split: {test: 0.3, validation: 0.2, seed: 1}
encoder: {use: vectors, vectors: vectors.txt, network: gru, hidden: 8, pooling: attention, train_vectors: true}
"""
RECIPES = {
    "words": WORDS,
    "moods": MOODS_RECIPE,
    "study": STUDY,
    "network": NETWORK + _TORCH,
    "vectors": VECTORS + _TORCH,
}


def write_tickets() -> list[str]:
    """Write the invented tickets; of one in fifteen the team is another, so that no classifier is perfect."""
    drawn = random.Random(4)
    sizes = {"billing": 140, "delivery": 90, "login": 70}
    rows = []
    for team, size in sizes.items():
        things, troubles = TEAMS[team]
        for _ in range(size):
            end = drawn.choice(ENDS)
            text = f"{drawn.choice(STARTS)} {drawn.choice(things)} is {drawn.choice(troubles)}{end}"
            told = drawn.choice(list(TEAMS)) if drawn.random() < 1 / 15 else team
            moods = ";".join(mood for mood, ends in MOODS.items() if end in ends)
            rows.append((text, told, moods))
    drawn.shuffle(rows)
    with (HERE / "tickets.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ticket", "text", "team", "moods"))
        writer.writerows((f"t{number:03}", *row) for number, row in enumerate(rows))
    return [text for text, _, _ in rows]


def write_vectors(words: list[str]) -> None:
    drawn = random.Random(5)
    lines = [" ".join([word, *(f"{drawn.gauss(0, 1):.3f}" for _ in range(8))]) for word in words]
    (HERE / "vectors.txt").write_text("\n".join(lines) + "\n", "utf-8")


def write_checkpoint(words: list[str]) -> None:
    """Write a random BERT of few weights that stands for a pretrained one."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *",!-?", *words]
    tokenizer = BertTokenizer(vocab={piece: place for place, piece in enumerate(pieces)}, model_max_length=32)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    BertModel(config).save_pretrained(HERE / "checkpoint")
    tokenizer.save_pretrained(HERE / "checkpoint")


def interrupt(recipe: str) -> None:
    """Begin a run, and stop it once two checkpoints are written."""
    import textclf

    saved: list[textclf.Event] = []

    def watch(event: textclf.Event) -> None:
        if isinstance(event, textclf.CheckpointSaved):
            saved.append(event)

    engine = textclf.Engine(observers=[watch], stopping=lambda: len(saved) >= 2)
    try:
        engine.run(recipe, overrides=["name=interrupted"])
    except textclf.Stopped:
        return
    raise SystemExit("the run came to its end before it was stopped")


def answers(texts: list[str]) -> dict[str, Any]:
    """Return what each finished classifier says of the texts, as the tests compare it."""
    import textclf

    engine = textclf.Engine()
    told = {}
    for name in ("words", "moods", "network", "vectors"):
        found = engine.load(name).predict(texts)
        told[name] = [{"label": each.label, "scores": {k: float(v) for k, v in each.scores.items()}} for each in found]
    return {"texts": texts, "answers": told}


def make_neutral() -> None:
    """Take out of the runs where, and on which machine, they were made."""
    for pattern in ("record.json", "events.jsonl", "report.html"):
        for path in HERE.glob(f"runs/*/*/{pattern}"):
            told = path.read_text("utf-8")
            path.write_text(told.replace(str(HERE), NEUTRAL).replace(platform.platform(), "Linux"), "utf-8")
    for lock in [*HERE.glob("runs/**/.lock"), *HERE.glob("runs/**/.holder")]:
        lock.unlink()


def main() -> None:
    os.chdir(HERE)
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TEXTCLF_CACHE=str(HERE / "cache"))
    for name in ("runs", "checkpoint"):
        shutil.rmtree(name, ignore_errors=True)
    texts = write_tickets()
    words = sorted({word for text in texts for word in re.findall(r"\w+", text)})
    write_vectors(words)
    write_checkpoint(words)

    import textclf

    for name, recipe in RECIPES.items():
        Path(f"{name}.yaml").write_text(recipe, "utf-8")
        print(textclf.Engine().run(f"{name}.yaml"))
    interrupt("network.yaml")
    new = ["my refund is late", "the courier is lost, thank you", "password rejected!", "words of no ticket at all", ""]
    Path("answers.json").write_text(json.dumps(answers(texts[:10] + new), indent=1) + "\n", "utf-8")
    shutil.rmtree("cache", ignore_errors=True)
    make_neutral()


if __name__ == "__main__":
    main()
