"""Whole runs of the trainer `torch` on a tiny network, and what two such runs must have in common."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.tiny import tiny_bert

ROOT = Path(__file__).parents[3]
RECIPE, NAME = "tiny.yaml", "tiny"
STARTS, NOUNS = ("the", "a", "not a very", "it was a"), ("film", "plot", "story", "cast")
WORDS = {"good": "positive", "great": "positive", "bad": "negative", "awful": "negative"}

_RECIPE = """\
name: tiny
dataset: {{use: files, path: texts.csv, text: text, label: label}}
split: {{test: 0.25, validation: 0.25}}
encoder: {{use: transformer, checkpoint: checkpoint, max_length: 32}}
trainer: {{use: torch, device: cpu, batch_size: 8, learning_rate: 1e-3{trainer}}}
metrics: [log_loss, accuracy]
report: {{draws: 100}}
"""

# What may differ between the record of a run that was killed and resumed and that of one that was left alone: which
# run it is, when it was, how long it took, and how fast it was. README tells of it; everything else must be equal.
MAY_DIFFER = {
    "record.json": {"accounts", "forecasts", "id", "seconds", "stages", "started"},
    "metrics.json": {"accounts", "stages", "tokens_per_second"},
}
# Each try adds its own events, and times are in them; of what they say, the epochs and choices must be equal.
JOURNAL = "events.jsonl"


def prepare(folder: Path, *, layers: int = 2, **trainer: Any) -> str:
    """Write texts, a random pretrained network and the recipe into a folder, and return the recipe's name."""
    rows = [(f"{start} {noun} {word}", label) for word, label in WORDS.items() for noun in NOUNS for start in STARTS]
    with (folder / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    tiny_bert(folder / "checkpoint", [text for text, _ in rows], layers=layers)
    options = {"epochs": 2, "checkpoint_every": 2, "early_stopping": 3, **trainer}
    told = "".join(f", {name}: {json.dumps(value)}" for name, value in options.items())
    (folder / RECIPE).write_text(_RECIPE.format(trainer=told))
    return RECIPE


def surroundings() -> dict[str, str]:
    """Return the environment of a process that can import this package."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def textclf(*words: str, **given: Any) -> subprocess.Popen[bytes]:
    """Start the command in the current folder."""
    command = [sys.executable, "-m", "textclf", *words]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=surroundings(), **streams, **given)


def of_run(folder: Path) -> dict[str, Any]:
    """Return all that a run leaves, without what may differ when it was killed and resumed."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    left: dict[str, Any] = {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}
    for name, free in MAY_DIFFER.items():
        left[name] = {key: value for key, value in json.loads(left[name]).items() if key not in free}
    left[JOURNAL] = _said(left[JOURNAL])
    return left


def unlike(left: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the names of what two runs do not have in common."""
    return [name for name in sorted({*left, *other}) if left.get(name) != other.get(name)]


def _said(journal: bytes) -> dict[str, Any]:
    """Return what a journal says of epochs and choices, each once, without times."""
    events = [json.loads(line) for line in journal.splitlines() if line.endswith(b"}")]
    kept: dict[str, Any] = {}
    for event in events:
        if event["event"] in ("EpochFinished", "Chosen"):
            kept[str(event.get("epoch", event.get("what")))] = {k: v for k, v in event.items() if k != "time"}
    return kept
