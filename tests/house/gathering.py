"""Gathers what users of textclf rely on: commands, documents, files, names and options; of what is installed here.

    python -m tests.house.gathering            # prints it
    python -m tests.house.gathering --write    # freezes it anew, in tests/house/contract/*.json

Freeze it anew only to add something. Whatever goes or changes then shows in the difference that is committed.

It uses only what users have: the command, the public names, and files. It names no module inside of textclf.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import inspect
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tests.house.shapes import merged, shape

HERE = Path(__file__).resolve().parent
CONTRACT, OLD = HERE / "contract", HERE / "version_0_1"
# A run's folder: date, time, four random digits, and of a study's member which one it is.
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
IN_MODELS = [f"model/{name}" for name in (
    "textclf.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
)]  # fmt: skip
MEMBER_ID = re.compile(RUN_ID.pattern + r"-s\d+")
PLUGIN = '''\
"""A plugin that is a file: a metric, and an observer."""

import textclf


class Never:
    greater_is_better = True

    def __call__(self, predictions):
        return 0.0


def textclf_metrics():
    return [textclf.Component(name="never", build=lambda options: Never(), summary="nothing")]


def textclf_event(event):
    """Watch."""
'''
BROKEN = "encoder: {use: tfidf, no_such_option: 1}\ntrainer: no_such_trainer\ndataset: reviews\n"


def command(*words: str, code: int = 0) -> str:
    """Call the command that is installed as `textclf` in this process, and return what it prints."""
    [found] = entry_points(group="console_scripts", name="textclf")
    # Streams as a process has them: tables are written to the bytes below the text.
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = found.load()(list(words))
    printed, noted = (stream.buffer.getvalue().decode() for stream in (out, err))
    assert ended == code, f"textclf {' '.join(words)} ended with {ended}: {printed}{noted}"
    return printed


def document(*words: str, code: int = 0) -> Any:
    return json.loads(command(*words, "--json", code=code))


def commands() -> dict[str, dict[str, list[str]]]:
    """Return the arguments and options of every command, as its help page lists them."""
    # The plain page, since that of rich has boxes. Only a fresh process heeds it: `gathered` sees to that.
    assert os.environ.get("TYPER_USE_RICH") == "0"
    found: dict[str, dict[str, list[str]]] = {}
    waiting = [""]
    while waiting:
        path = waiting.pop(0)
        page = command(*path.split(), "--help")
        options = [flag for row in _rows(page, "Options") for flag in re.findall(r"(?:^|(?<=, ))-[\w-]+", row)]
        arguments = [row.split()[0] for row in _rows(page, "Arguments")]
        found[path] = {"arguments": arguments, "options": sorted(options)}
        waiting += [f"{path} {row.split()[0]}".strip() for row in _rows(page, "Commands")]
    return dict(sorted(found.items()))


def _rows(page: str, heading: str) -> list[str]:
    """Return the rows of a part of a help page; what goes on in a further line stands further right."""
    _, _, rest = page.partition(f"\n{heading}:\n")
    part = rest.partition("\n\n")[0]
    return [line[2:] for line in part.splitlines() if re.match(r"  \S", line)]


def names() -> dict[str, Any]:
    """Return the public names, and of each what it has and which arguments it takes."""
    found: dict[str, Any] = {}
    for name in ("textclf", "textclf.testing"):
        module = importlib.import_module(name)
        found[name] = {each: _about(getattr(module, each)) for each in sorted(module.__all__)}
    return found


def _about(thing: Any) -> list[str]:
    """Return the public attributes of a class and the arguments of its methods, or those of a function."""
    if not inspect.isclass(thing):
        return _arguments(thing) if inspect.isroutine(thing) else []
    # What a class of Python's own or of pydantic's has is not textclf's promise.
    own = [c for c in inspect.getmro(thing) if c.__module__.partition(".")[0] == "textclf"]
    members = sorted({member for each in own for member in vars(each) if not member.startswith(("_", "model_"))})
    told = [f"__init__ {argument}" for argument in _arguments(thing)]
    for member in members:
        told.append(member)
        value = inspect.getattr_static(thing, member)
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        told += [f"{member} {argument}" for argument in _arguments(value) if inspect.isfunction(value)]
    return told


def _arguments(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return [p.name for p in named if p.name not in ("self", "cls")]


def components() -> dict[str, Any]:
    """Return every component with the default of each option; of one that must be given, an example."""
    examples = {"vectors": "vectors.txt", "checkpoint": "checkpoint"}
    found: dict[str, Any] = {}
    for plugin in document("plugins")["plugins"]:
        for offer in plugin["offers"]:
            shown = document("plugins", "show", offer["name"])["components"]
            [about] = [each for each in shown if (each["kind"], each["name"]) == (offer["kind"], offer["name"])]
            options = {}
            for option in about["options"]:
                options[option["name"]] = examples[option["name"]] if option["required"] else _read(option["default"])
            found.setdefault(offer["kind"], {})[offer["name"]] = options
    return {kind: dict(sorted(each.items())) for kind, each in sorted(found.items())}


def _read(written: str) -> Any:
    """Return a default that is written as a recipe would say it."""
    import yaml

    # YAML 1.1 takes 2e-05 for a text.
    return float(written) if re.fullmatch(r"-?\d+(\.\d+)?e-?\d+", written) else yaml.safe_load(written)


def settings() -> list[str]:
    """Return what a recipe may say beside the options of components, dotted where it is inside of another."""
    schema = json.loads(command("schema"))
    found = []
    for name, about in schema["properties"].items():
        found.append(name)
        target = about.get("$ref", "").rpartition("/")[2]
        inner = schema.get("$defs", {}).get(target, about).get("properties", {})
        found += [f"{name}.{each}" for each in inner if name in ("split", "decide", "report")]
    return sorted(found)


def interrupted(recipe: str) -> None:
    """Begin a run and stop it at its first checkpoint, as a signal to the command does."""
    import textclf

    saved: list[textclf.Event] = []

    def watch(event: textclf.Event) -> None:
        if isinstance(event, textclf.CheckpointSaved):
            saved.append(event)

    with contextlib.suppress(textclf.Stopped):
        textclf.Engine(observers=[watch], stopping=lambda: bool(saved)).run(recipe)


def study_folder() -> Path:
    """Return the folder of the study itself; by its name alone the newest of its members would be found."""
    [summary] = Path("runs/study").glob("*/summary.json")
    return summary.parent


def documents() -> dict[str, Any]:
    """Return the shape of every document that a command prints, of real runs in the current folder."""
    Path("watching.py").write_text(PLUGIN, "utf-8")
    Path("broken.yaml").write_text(BROKEN, "utf-8")
    interrupted("network.yaml")
    made = {
        "check": document("check", "words.yaml"),
        "check, of a broken recipe": document("check", "broken.yaml", code=2),
        "run": document("run", "words.yaml"),
        "run, where a gate is not met": document("run", "words.yaml", "--set", "gates={accuracy: 1.0}", code=8),
        "run, of a study": document("run", "study.yaml"),
        "run, of several labels": document("run", "moods.yaml"),
        "run, of two labels": document("run", "reviews_tfidf", "--set", "split.limit=200"),
        "resume": document("resume", "network"),
        "runs": document("runs"),
        "runs show": document("runs", "show", "words"),
        "runs show, of a study": document("runs", "show", str(study_folder())),
        "evaluate": document("evaluate", "words", "tickets.csv"),
        "explain": document("explain", "words", "my invoice is late"),
        "explain, of a network": document("explain", "network", "my invoice is late"),
        "compare": document("compare", "words", "network"),
        "recipes": document("recipes"),
        "plugins": document("plugins"),
        "plugins show, of a component": document("plugins", "show", "tfidf"),
        "plugins show, of a plugin": document("plugins", "show", "sklearn"),
        "plugins show, of a file": document("--plugin", "watching.py", "plugins", "show", "watching"),
        # A metric that says 0 of everything breaks a clause: what is said of that is in the document too.
        "plugins check": document("--plugin", "watching.py", "plugins", "check", "never", code=5),
        "plugins new": document("plugins", "new", "shape", "--kind", "encoder"),
    }
    found = {name: shape(each) for name, each in made.items()}
    lines = command("predict", "words", "my invoice is late", "no", "--format", "jsonl").splitlines()
    found["predict --format jsonl, a line"] = merged([json.loads(line) for line in lines])
    return found


def run_folder() -> dict[str, Any]:
    """Return what lies in the folders of runs, and the shapes of it; the runs are those of `documents`."""
    study = study_folder()
    member = min(path for path in Path("runs/study").iterdir() if path != study)
    words, moods, network = (max(Path("runs", name).iterdir()) for name in ("words", "moods", "network"))
    two = max(Path("runs/reviews_tfidf").iterdir())
    assert all(RUN_ID.fullmatch(each.name) for each in (study, words, moods, network, two))
    assert MEMBER_ID.fullmatch(member.name)
    each = {"words": words, "moods": moods, "network": network, "two labels": two, "study": study, "member": member}
    events: dict[str, list[Any]] = {}
    for line in (line for folder in each.values() for line in _lines(folder / "events.jsonl")):
        events.setdefault(json.loads(line)["event"], []).append(json.loads(line))
    shaped = ("record.json", "metrics.json", "summary.json", "model/textclf.json")
    return {
        "files": {name: _files(folder) for name, folder in each.items()},
        "shapes": {
            f"{file} of {name}": shape(json.loads((folder / file).read_text("utf-8")))
            for name, folder in each.items() for file in shaped if (folder / file).is_file()
        },
        "events": {kind: merged(all_of_kind) for kind, all_of_kind in sorted(events.items())},
        "columns": {
            name: next(csv.reader(_lines(folder / "predictions.csv")))
            for name, folder in each.items() if folder != study
        },
    }  # fmt: skip


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []


def _files(folder: Path) -> list[str]:
    """Return the names of a folder's files that users rely on.

    Those that begin with a dot are not for users. In a model only those that textclf or Hugging Face name are: how a
    component keeps its own may change, since the models of `version_0_1` tell whether it reads the old ones.
    """
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in files if not name.startswith(".") and (name[:6] != "model/" or name in IN_MODELS))


def gathered() -> dict[str, Any]:
    """Return everything by the file it is frozen in. Only for a process of its own: it changes folder and settings."""
    os.environ.update(TYPER_USE_RICH="0", COLUMNS="100", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["TEXTCLF_CACHE"] = str(Path(folder, "cache"))
        inputs: Iterable[Path] = (path for path in OLD.iterdir() if path.suffix in (".yaml", ".csv", ".txt"))
        for path in inputs:
            shutil.copy(path, folder)
        shutil.copytree(OLD / "checkpoint", "checkpoint")
        bundled = [recipe["name"] for recipe in document("recipes")["recipes"]]
        return {
            "commands": commands(), "names": names(), "documents": documents(), "run_folder": run_folder(),
            "options": {"components": components(), "settings": settings(), "recipes": bundled},
        }  # fmt: skip


def main() -> None:
    found = gathered()
    if "--write" in sys.argv[1:]:
        for name, each in found.items():
            (CONTRACT / f"{name}.json").write_text(json.dumps(each, indent=1) + "\n", "utf-8")
    else:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
