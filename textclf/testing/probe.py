"""Owns the look at a plugin from a fresh interpreter: `python -m textclf.testing.probe MODULE` tells it as JSON."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from ..hooks.discovery import discover

_HEAVY = (
    "catboost", "datasets", "fasttext", "gensim", "jax", "lightgbm", "matplotlib", "nltk", "numpy", "onnxruntime",
    "pandas", "polars", "pyarrow", "scipy", "sentence_transformers", "sklearn", "spacy", "tensorflow", "tokenizers",
    "torch", "transformers", "xgboost",
)  # fmt: skip


def main(name: str) -> dict[str, list[str]]:
    """Import the module, call its hooks, and return which libraries that loaded and what the hooks did."""
    module = importlib.import_module(name)
    acts: list[str] = []
    sys.addaudithook(lambda event, args: acts.extend(_act(event, args)))
    found = discover([module], entry_points=False)
    seen = list(acts)
    needed = {library for offer in found.offers for library in offer.component.needs}
    heavy = sorted(library for library in {*_HEAVY, *needed} if library in sys.modules)
    return {"heavy": heavy, "acts": seen}


def _act(event: str, args: tuple[Any, ...]) -> list[str]:
    """Say what an audit event does to the world outside the process, or nothing."""
    if event == "open":
        path, mode = str(args[0]), str(args[1] or "")
        writes = any(letter in mode for letter in "wax+")
        # A module that a hook imports is compiled into __pycache__ by Python itself.
        return [f"writes {path}"] if writes and "__pycache__" not in path else []
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        return [f"{event}{args[1:]!r}" if event == "socket.connect" else f"{event}{args!r}"]
    return []


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])) + "\n")
