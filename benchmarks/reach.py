"""Counts the files whose code runs in one command, how often it opens the files of a run, and what one step enters.

    python benchmarks/reach.py                   # run, predict, check and compare: a minute
    python benchmarks/reach.py --files           # also which files
    python benchmarks/reach.py --step            # one training step in the middle, with one lane and with two

A file ran where one of its functions was entered, in whatever thread, but not by a module that is being imported. A
file took part where anything of it but the body of its module was, so also a class that is only defined. What Python
makes for a dataclass belongs to no file. Each command runs in a fresh interpreter through its own entry function, on
few texts, in a folder of its own. A file of a run that is written under another name and renamed was replaced; for each
name the run counts of which it was opened most. A step goes from one entry of its function to the next, so what the
loop does in between is part of it; now and then a step reports its progress too, hence the fewest and the most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import tomllib
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from measuring import say

ROOT = Path(__file__).resolve().parents[1]
# A file belongs to the first group under which its path begins so.
GROUPS = {"testing": ("textclf/testing/",), "cli": ("textclf/cli/", "textclf/__main__.py"), "core": ("textclf/",),
          "plugins": ("plugins/",)}  # fmt: skip
SHOWN = ("core", "cli", "plugins")
KEPT = ("record.json", "events.jsonl", "metrics.json", "recipe.yaml")
WAYS = ("read", "written", "appended", "replaced")
# The function with the loop of a training, the function that takes a step, and the plugin whose files are counted.
LOOP, LOOPS, STEP, TRAINER = "plugins/textclf_torch/loop.py", "run", "take_step", "plugins/textclf_torch/"
MIDDLE = range(3, 8)  # the steps that are looked at, of ten
SMALL = ("--set", "split.limit=600", "--set", "report.draws=100")
FLOWS = {
    "run": ("run", "reviews_tfidf", *SMALL),
    "other": ("run", "reviews_tfidf", *SMALL, "--set", "encoder.ngram_range=[1,1]"),  # only for `compare`
    "predict": ("predict", "{0}", "a film to remember"),
    "check": ("check", "reviews_tfidf"),
    "compare": ("compare", "{0}", "{1}"),
}
# Few enough texts for ten steps in one epoch; nothing is judged or saved on the way.
TRAINING = ("run", "reviews_minilm", "--set", "split.limit=200", "--set", "trainer.epochs=1", "--set",
            "trainer.batch_size=16", "--set", "trainer.checkpoint_every=1000", "--set", "trainer.device=cpu", "--set",
            "report.draws=100")  # fmt: skip


class Reach:
    """Hears of each function that is entered and each file that is opened."""

    def __init__(self, runs: Path) -> None:
        self._runs, self._done = str(runs), set[Any]()
        self.ran, self.took_part = set[str](), set[str]()
        self.opened: Counter[tuple[str, str]] = Counter()

    def heard(self, frame: FrameType, event: str, argument: object) -> None:
        # What is quick to tell comes first: there are millions of calls.
        if event != "call" or frame.f_code in self._done:
            return
        place, at_import = place_of(frame), False
        if place and frame.f_code.co_name != "<module>":
            self.took_part.add(place)
            at_import = importing(frame)
            if is_function(frame) and not at_import:
                self.ran.add(place)
        # What an import calls may be called again by what runs.
        if not (at_import and is_function(frame)):
            self._done.add(frame.f_code)

    def audited(self, event: str, told: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(told[0], (str, bytes, os.PathLike)):
            flags = told[2] or 0
            way = "written" if flags & (os.O_WRONLY | os.O_RDWR) else "read"
            self._count(told[0], "appended" if flags & os.O_APPEND else way)
        elif event == "os.rename":
            self._count(told[1], "replaced")

    def _count(self, path: Any, way: str) -> None:
        whole = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - nothing may be looked up on the disk here
        if whole.name in KEPT and str(whole).startswith(self._runs):
            self.opened[str(whole), way] += 1

    def told(self) -> dict[str, Any]:
        opened = [[*key, count] for key, count in self.opened.items()]
        return {"ran": sorted(self.ran), "took_part": sorted(self.took_part), "opened": opened}


class Steps(Reach):
    """Hears of each step of a training, and of our functions on the way to the network's forward pass."""

    def __init__(self, runs: Path) -> None:
        super().__init__(runs)
        self.steps: list[set[str]] = []
        self.stack: list[str] = []

    def heard(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call":
            return
        place = place_of(frame)
        if place == LOOP and frame.f_code.co_name == STEP:
            self.steps.append(set())
        if self.steps and place and is_function(frame):
            self.steps[-1].add(place)
        if len(self.steps) in MIDDLE and not self.stack and not place and frame.f_code is call_of_networks():
            self.stack = own_frames(frame)

    def told(self) -> dict[str, Any]:
        return {"steps": [sorted(step) for step in self.steps], "stack": self.stack}


def place_of(frame: FrameType) -> str:
    """Return where a frame's file lies in this checkout, or an empty string."""
    return _place(frame.f_code.co_filename)


@cache
def _place(name: str) -> str:
    place = name.removeprefix(f"{ROOT}{os.sep}").replace(os.sep, "/")
    return place if group_of(place) else ""


def group_of(place: str) -> str:
    return next((group for group, begins in GROUPS.items() if place.startswith(begins)), "")


def is_function(frame: FrameType) -> bool:
    """Tell functions from the bodies of modules and classes, which make no locals of their own."""
    return bool(frame.f_code.co_flags & 0x2)


def importing(frame: FrameType | None) -> bool:
    """Tell whether a module of this checkout is being imported, and so calls what it needs to be there."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and place_of(frame):
            return True
        frame = frame.f_back
    return False


def call_of_networks() -> Any:
    """Return the code by which every network is called, or None while there is no PyTorch."""
    torch = sys.modules.get("torch")
    return torch and torch.nn.Module.__call__.__code__


def own_frames(frame: FrameType | None) -> list[str]:
    """Return our functions between the loop and a frame, the innermost last; none in a thread without the loop."""
    found: list[str] = []
    while frame is not None:
        place, name = place_of(frame), frame.f_code.co_name
        if place == LOOP and name == LOOPS:
            return found[::-1]
        found += [f"{place}: {name}"] if place else []
        frame = frame.f_back
    return []


def one(kind: str, runs: str, into: str, *words: str) -> int:
    """Run one command in this very interpreter, write what was heard for the driver, and return its exit code."""
    heard = {"flow": Reach, "steps": Steps}[kind](Path(runs))
    script = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]["textclf"]
    module, _, name = script.partition(":")
    sys.argv = ["textclf", *words]
    sys.addaudithook(heard.audited)
    threading.setprofile(heard.heard)
    sys.setprofile(heard.heard)
    try:
        code: int = getattr(import_module(module), name)()
    finally:
        sys.setprofile(None)
    Path(into).write_text(json.dumps(heard.told()), "utf-8")
    return code


def fresh(kind: str, folder: Path, words: Sequence[str]) -> dict[str, Any]:
    """Return what is heard of a command in a fresh interpreter, whose runs lie in `folder`."""
    runs, into = folder / "runs", folder / "heard.json"
    command = [sys.executable, __file__, "--one", kind, str(runs), str(into), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(into.read_text("utf-8"))
    return found


def flows(folder: Path, files: bool) -> None:
    """Print for each command how many files it reaches, and how often it opens what a run keeps."""
    heard: dict[str, dict[str, Any]] = {}
    for flow, words in FLOWS.items():
        made = sorted(f"{run.parent.parent.name}/{run.parent.name}" for run in folder.glob("runs/*/*/record.json"))
        heard[flow] = fresh("flow", folder, [word.format(*made) for word in words])
    del heard["other"]
    there = Counter(group_of(str(f.relative_to(ROOT).as_posix())) for f in ROOT.rglob("*.py"))
    say(f"{'files that ran (took part)':28}" + "".join(f"{f'{name}, of {there[name]}':>20}" for name in SHOWN))
    for flow, found in heard.items():
        ran, part = (Counter(map(group_of, found[kind])) for kind in ("ran", "took_part"))
        say(f"{flow:28}" + "".join(f"{f'{ran[name]} ({part[name]})':>20}" for name in SHOWN))
        say("\n".join(f"    {place}" for place in found["ran"])) if files else None
    say(f"\n{'opened':12}{'file':16}" + "".join(f"{way:>10}" for way in WAYS) + f"{'in all runs':>14}")
    for flow, found in heard.items():
        runs: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for path, way, count in found["opened"]:
            runs[Path(path).name][path][way] += count
        for name in KEPT:
            most = max(runs[name].values(), key=Counter.total, default=Counter[str]())
            every = sum(each.total() for each in runs[name].values())
            say(f"{flow:12}{name:16}" + "".join(f"{most[way]:>10}" for way in WAYS) + f"{every:>14}")


def steps(folder: Path, files: bool, checkpoint: str | None) -> None:
    """Print how many files of the trainer one step enters, and how deep under the loop the forward pass lies."""
    other = ["--set", f"encoder.checkpoint={checkpoint}"] if checkpoint else []
    for lanes in (1, 2):
        found = fresh("steps", folder, [*TRAINING, *other, "--set", f"trainer.lanes={lanes}"])
        own = [[p for p in found["steps"][at - 1] if p.startswith(TRAINER)] for at in MIDDLE]
        least, most = min(own, key=len), max(own, key=len)
        say(f"lanes {lanes}: a step enters {len(least)} to {len(most)} files of {TRAINER.split('/')[1]}; "
            f"{len(found['stack'])} of our functions between the loop and the forward pass")  # fmt: skip
        if files:
            say("\n".join(f"    {place}" for place in [*least, "on the way:", *found["stack"]]))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--files", action="store_true", help="also say which files")
    parser.add_argument("--step", action="store_true", help="look at one training step instead of whole commands")
    parser.add_argument("--checkpoint", help="of the network that takes the step; MiniLM unless said")
    parser.add_argument("--one", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        return one(*chosen.one)
    with TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        steps(place, chosen.files, chosen.checkpoint) if chosen.step else flows(place, chosen.files)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
