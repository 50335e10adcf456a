"""Owns the look at a plugin from a fresh interpreter: `python -m textclf.testing.probe MODULE` tells it as JSON.

In place of a module, the path of a Python file may be given.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from ..hooks import loose
from ..hooks.discovery import discover
from .watching import watch

_HEAVY = (
    "catboost", "datasets", "fasttext", "gensim", "jax", "lightgbm", "matplotlib", "nltk", "numpy", "onnxruntime",
    "pandas", "polars", "pyarrow", "scipy", "sentence_transformers", "sklearn", "spacy", "tensorflow", "tokenizers",
    "torch", "transformers", "xgboost",
)  # fmt: skip

_IMPORTED = (".py", ".pyc", ".so", ".pyd", ".zip")


def main(name: str) -> dict[str, list[str]]:
    """Import the module, call its hooks, and return which libraries that loaded and what import and hooks did."""
    acts: list[str] = []
    with watch() as seen:
        module = loose.load(name) if name.endswith(".py") else importlib.import_module(name)
        sys.addaudithook(lambda event, args: acts.extend(_act(event, args)))
        found = discover([module], entry_points=False)
        acted = list(acts)
    needed = {library for offer in found.offers for library in offer.component.needs}
    heavy = sorted(library for library in {*_HEAVY, *needed} if library in sys.modules)
    acted += seen.connections
    changed = [*seen.world, *seen.chance]
    return {"heavy": heavy, "acts": acted, "changed": changed, "printed": [seen.printed] if seen.printed else []}


def _act(event: str, args: tuple[Any, ...]) -> list[str]:
    """Say what an audit event does to the world outside the process, or nothing."""
    if event == "open":
        path, mode = str(args[0]), str(args[1] or "")
        # What a hook imports is read, and compiled into __pycache__, by Python itself.
        if "__pycache__" in path or path.endswith(_IMPORTED):
            return []
        return [f"{'writes' if any(letter in mode for letter in 'wax+') else 'reads'} {path}"]
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        return [f"{event}{args[1:]!r}" if event == "socket.connect" else f"{event}{args!r}"]
    return []


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])) + "\n")
