"""Real rated film sentences, and textclf_sklearn's parts built from them, for the tests of linear models."""

from __future__ import annotations

import csv
import gzip
import json
from importlib import resources
from typing import Any

import numpy as np
import textclf_sklearn

from textclf import Component, Encoded, Labels, Split, Texts
from textclf.plugin.discovery import discover
from textclf.testing.context import LocalContext

REGISTRY = discover([textclf_sklearn], entry_points=False)
TWO = Labels(("negative", "positive"))
THREE = Labels(("bad", "fair", "good"))
TAGS = Labels(("praise", "long", "film"), "multi-label")


def component(kind: str, name: str) -> Component[Any, Any]:
    return REGISTRY.find(kind, name).component


def options(kind: str, name: str, **values: Any) -> Any:
    return component(kind, name).options.model_validate_json(json.dumps(values))


def build(kind: str, name: str, **values: Any) -> Any:
    return component(kind, name).build(options(kind, name, **values))


def rated(count: int, start: int = 0) -> tuple[list[str], np.ndarray]:
    """Return film sentences and their ratings, mixed: the file begins with the favourable ones."""
    packed = resources.files("textclf_reviews") / "data" / "movies.csv.gz"
    every = list(csv.DictReader(gzip.decompress(packed.read_bytes()).decode().splitlines()))
    rows = [every[i] for i in np.random.default_rng(0).permutation(len(every))[start : start + count]]
    return [row["text"] for row in rows], np.array([float(row["rating"]) for row in rows])


def sentences(labels: Labels, count: int = 400, start: int = 0, pairs: bool = False) -> Split:
    """Return film sentences labelled for that task; the second text of a pair is the sentence after the next."""
    texts, ratings = rated(count + 2, start)
    first, ratings = texts[:count], ratings[:count]
    if labels is TAGS:
        members = [(r > 0, len(t) > 100, "film" in t or "movie" in t) for t, r in zip(first, ratings, strict=True)]
        targets = np.array(members)
    else:
        targets = (ratings > 0).astype(np.int64) if labels is TWO else np.digitize(ratings, [-0.7, 0.9])
    return Split(Texts(first, texts[2:] if pairs else None), targets)


def encoded(split: Split, context: LocalContext, **values: Any) -> tuple[Any, Encoded]:
    encoder = build("encoder", "tfidf", **values)
    encoder.fit(split, context)
    return encoder, Encoded(encoder.encode(split.texts, context), split.labels)
