"""Owns the look at a plugin from a fresh interpreter: `python -m textclf.testing.probe MODULE` tells it as JSON.

In place of a module, the path of a Python file may be given.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import suppress
from tempfile import TemporaryFile

from ..plugin import single_file
from ..plugin.discovery import discover
from .trail import Trail
from .watching import watch

_HEAVY = (
    "catboost", "datasets", "fasttext", "gensim", "jax", "lightgbm", "matplotlib", "nltk", "numpy", "onnxruntime",
    "pandas", "polars", "pyarrow", "scipy", "sentence_transformers", "sklearn", "spacy", "tensorflow", "tokenizers",
    "torch", "transformers", "xgboost",
)  # fmt: skip


def main(name: str) -> dict[str, list[str]]:
    """Import the module, call its hooks, and return which libraries that loaded and what import and hooks did."""
    trail = Trail(name)
    with watch(trail.act) as seen:
        trail.begin()
        module = single_file.load(name) if name.endswith(".py") else importlib.import_module(name)
        trail.hooks = True
        found = discover([module], entry_points=False)
        trail.end()
    needed = {library for offer in found.offers for library in offer.component.needs}
    heavy = sorted(library for library in {*_HEAVY, *needed} if library in sys.modules)
    printed = [seen.printed] if seen.printed else []
    return {"heavy": heavy, "acts": _told(trail.acts), "changed": _told(trail.changes), "printed": printed}


def _told(noticed: dict[str, str]) -> list[str]:
    return [f"{what} ({place})" if place else what for what, place in noticed.items()]


def answer(name: str) -> None:
    """Tell what `main` returns by a descriptor of its own, with what was written to stdout past `sys.stdout`."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out, TemporaryFile() as caught:
        os.dup2(caught.fileno(), 1)
        found = main(name)
        with suppress(Exception):  # the plugin may have closed it
            sys.__stdout__.flush()  # type: ignore[union-attr]
        caught.seek(0)
        raw = caught.read().decode("utf-8", "replace")
        found["printed"] = ["".join([*found["printed"], raw])] if raw else found["printed"]
        out.write(json.dumps(found))


if __name__ == "__main__":
    answer(sys.argv[1])
    os._exit(0)  # whatever threads the plugin left would keep the interpreter
