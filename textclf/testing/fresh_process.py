"""An encoder at work in a fresh interpreter: `python -m textclf.testing.fresh_process`."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

from ..data.dataset import Split, Texts
from ..data.tokens import Tokens
from ..plugin import single_file
from ..plugin.component import Component
from ..plugin.discovery import discover
from ..plugin.options import read_options
from .context import LocalContext
from .contract import raised

_REQUEST, _LABELS, _ANSWER, _FEATURES = "request.json", "labels.npy", "answer.json", "features.npz"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an encoder of these options shall be fitted on, and then encode."""

    values: Mapping[str, Any]
    train: Split
    texts: Texts


@dataclass(frozen=True, slots=True)
class Answer:
    """What an encoder that was fitted elsewhere gives; `raised` says what came in between."""

    features: Any = None
    fingerprint: str = ""
    raised: str = ""


def home_of(component: Component[Any, Any]) -> str:
    """Return the module, or the one file, by which another process finds this very encoder, or nothing."""
    for name in _modules(component):
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType) or not hasattr(module, "textclf_encoders"):
            continue
        if any(_identity(one) == _identity(component) for one in _encoders(module)):
            if single_file.is_loose(module):
                return str(module.__file__)
            return name if module.__spec__ is not None and find_spec(name) is not None else ""
    return ""


def fit_afresh(home: str, name: str, wanted: Sequence[Wanted], folder: Path) -> list[Answer]:
    """Fit encoders in a process that hashes strings otherwise, each as if it were the first there: an answer each.

    What cannot be had there has no answer, nor has what would come after it.
    """
    places = [folder / str(number) for number in range(len(wanted))]
    for place, one in zip(places, wanted, strict=True):
        _ask(home, name, one, place)
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    path = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", __name__, *map(str, places)]
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, env=environment, capture_output=True, timeout=600, check=False)
    answered = takewhile(lambda place: (place / _ANSWER).is_file(), places)
    read = ((place, json.loads((place / _ANSWER).read_text("utf-8"))) for place in answered)
    return [Answer(_read(place / _FEATURES), **answer) for place, answer in read]


def _ask(home: str, name: str, wanted: Wanted, place: Path) -> None:
    import numpy as np

    train = wanted.train
    request = {
        "home": home, "name": name, "values": dict(wanted.values), "ids": list(train.ids), "groups": train.groups,
        "train": _columns(train.texts), "texts": _columns(wanted.texts),
    }  # fmt: skip
    place.mkdir()
    (place / _REQUEST).write_text(json.dumps(request), "utf-8")
    np.save(place / _LABELS, train.labels, allow_pickle=False)


def main(folder: Path, again: bool) -> None:
    """Serve the request in the folder, and write the answer there; `again`: another was fitted in this process."""
    import numpy as np

    request = json.loads((folder / _REQUEST).read_text("utf-8"))
    module = _imported(request["home"], again)
    (component,) = (one for one in _encoders(module) if one.name == request["name"])
    train = Split(Texts(*request["train"]), np.load(folder / _LABELS), request["ids"], request["groups"])
    context = LocalContext(folder)
    answer = Answer()
    try:
        encoder = component.build(read_options(component.options, request["values"]))
        encoder.fit(train, context)
        features = encoder.encode(Texts(*request["texts"]), context)
        answer = Answer(features, encoder.fingerprint())
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        answer = Answer(raised=raised(error, component))
    _write(answer.features, folder / _FEATURES)
    (folder / _ANSWER).write_text(json.dumps({"fingerprint": answer.fingerprint, "raised": answer.raised}), "utf-8")


def _imported(home: str, again: bool) -> ModuleType:
    """Import a plugin; `again`: as if it had never been, with nothing of what its modules kept."""
    module = single_file.load(home) if home.endswith(".py") else importlib.import_module(home)
    if not again:
        return module
    # The toy is a part of textclf, which stays.
    own = home.endswith(".py") or home.startswith("textclf.")
    whole = module.__name__ if own else home.partition(".")[0]
    for name in [name for name in sys.modules if name == whole or name.startswith(f"{whole}.")]:
        del sys.modules[name]
    return _imported(home, again=False)


def _encoders(module: ModuleType) -> list[Component[Any, Any]]:
    found = discover([module], entry_points=False).registrations
    return [each.component for each in found if each.kind == "encoder"]


def _modules(component: Component[Any, Any]) -> Iterator[str]:
    """Give the names of the modules that the component is of, and of the packages that those are in."""
    for part in (component.build, component.options):
        name = str(getattr(part, "__module__", "") or "")
        while name:
            yield name
            name = name.rpartition(".")[0]


def _identity(component: Component[Any, Any]) -> tuple[object, ...]:
    """Return what two offers of one component share, though each call of a hook defines its functions anew."""
    functions = (component.build, component.restore)
    return component.name, component.options, *map(_qualified, functions)


def _qualified(function: object) -> tuple[object, object]:
    return getattr(function, "__module__", None), getattr(function, "__qualname__", function)


def _columns(texts: Texts) -> list[list[str] | None]:
    return [list(texts.first), None if texts.second is None else list(texts.second)]


def _write(features: Any, path: Path) -> None:
    """Write features of a layout that textclf knows."""
    import numpy as np

    if isinstance(features, Tokens):
        cuts = {} if features.cuts is None else {"cuts": features.cuts}
        np.savez(path, allow_pickle=False, ids=features.ids, offsets=features.offsets, **cuts)
    elif hasattr(features, "shape"):
        matrix = np.asarray(features.toarray() if hasattr(features, "toarray") else features, np.float64)
        np.savez_compressed(path, allow_pickle=False, matrix=matrix)


def _read(path: Path) -> Any:
    import numpy as np

    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as saved:
        if "matrix" in saved.files:
            return saved["matrix"]
        return Tokens(saved["ids"], saved["offsets"], saved["cuts"] if "cuts" in saved.files else None)


if __name__ == "__main__":
    for place, folder in enumerate(sys.argv[1:]):
        main(Path(folder), again=place > 0)
