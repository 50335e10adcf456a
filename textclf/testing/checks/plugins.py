"""Owns the clauses that every plugin module keeps, before any of its components is built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from ...hooks.discovery import discover
from ...hooks.loose import is_loose
from ...hooks.registry import Offer
from ..clauses import Broken, Check, Clause, NotApplicable
from ..finished import finished_folder
from .observers import OBSERVER, observes_quietly


class PluginModule:
    """A plugin under check; the look from a fresh interpreter is taken once. others: what other plugins offer."""

    def __init__(self, module: ModuleType, others: Sequence[Offer] = ()) -> None:
        self.module, self.others, self._numbers = module, others, count()

    def __str__(self) -> str:
        file = Path(str(self.module.__file__)) if is_loose(self.module) else None
        return f"plugin {file.stem} ({file.name})" if file else f"plugin {self.module.__name__}"

    @cached_property
    def probed(self) -> dict[str, list[str]]:
        return _probe(self.module)

    @property
    def run(self) -> Path:
        """Return the folder of a run that nobody has observed; it is there for as long as the examination."""
        folder = self._finished.with_name(f"check-{next(self._numbers)}")
        shutil.copytree(self._finished, folder)
        (folder / "checkpoints" / "ck-000001").mkdir(parents=True)
        return folder

    @cached_property
    def _finished(self) -> Path:
        return finished_folder(Path(self._home.name).resolve() / "runs")

    @cached_property
    def _home(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="textclf-check-", ignore_cleanup_errors=True)


def _loads(plugin: PluginModule) -> None:
    for found in discover([plugin.module], entry_points=False).plugins:
        if found.broken:
            raise Broken(found.reason)


def _offers_the_same_again(plugin: PluginModule) -> None:
    one, other = (discover([plugin.module], entry_points=False) for _ in range(2))
    described = [[_described(offer.kind, offer.component) for offer in found.offers] for found in (one, other)]
    if described[0] != described[1] or sorted(one.recipes) != sorted(other.recipes):
        raise Broken("called twice, its hooks offer different things")


def _described(kind: str, component: Any) -> tuple[Any, ...]:
    return kind, component.name, component.summary, component.options.model_json_schema(), component.needs


def _names_are_single(plugin: PluginModule) -> None:
    names = [(offer.kind, offer.component.name) for offer in discover([plugin.module], entry_points=False).offers]
    twice = sorted({f"{kind} '{name}'" for kind, name in names if names.count((kind, name)) > 1})
    if twice:
        raise Broken(f"offered twice: {', '.join(twice)}")
    others = [offer for offer in plugin.others if (offer.kind, offer.component.name) in names]
    taken = [f"{offer.kind} '{offer.component.name}' by {offer.plugin}" for offer in others]
    if taken:
        raise Broken(f"offered by others too: {', '.join(taken)}; rename it")


def _is_light(plugin: PluginModule) -> None:
    heavy = ", ".join(plugin.probed["heavy"])
    if is_loose(plugin.module):
        found = f"; in a package it must not import {heavy}" if heavy else ""
        raise NotApplicable(f"it is a file, which is loaded only where it is asked for{found}")
    if heavy:
        raise Broken(f"importing it and calling its hooks imports {heavy}")


def _hooks_do_nothing(plugin: PluginModule) -> None:
    acts = plugin.probed["acts"]
    if acts:
        raise Broken(f"importing it and calling its hooks {'; '.join(acts)}")


def _leaves_the_process_alone(plugin: PluginModule) -> None:
    changed = plugin.probed["changed"]
    if changed:
        raise Broken(f"importing it and calling its hooks changes the process: {'; '.join(changed)}")


def _is_quiet(plugin: PluginModule) -> None:
    observes_quietly(plugin)
    for printed in plugin.probed["printed"]:
        raise Broken(f"importing it and calling its hooks prints {printed[:60]!r}")


def _probe(module: ModuleType) -> dict[str, list[str]]:
    """Import the module and call its hooks in a fresh interpreter; return what that loaded and did."""
    loose = is_loose(module)
    if not loose and (module.__spec__ is None or find_spec(module.__name__) is None):
        raise NotApplicable("it cannot be imported by name")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "textclf.testing.probe", str(module.__file__) if loose else module.__name__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise Broken(f"in a fresh interpreter it fails: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


PLUGIN: tuple[Check[PluginModule], ...] = (
    Check(
        Clause("plugin.loads", "every hook is one that exists and answers", "a broken plugin offers nothing"),
        _loads,
    ),
    Check(
        Clause("plugin.repeats", "hooks called twice offer the same", "every Engine calls them anew"),
        _offers_the_same_again,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.names", "no kind of component is offered twice under one name", "names decide, never order"),
        _names_are_single,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.light", "import and hooks load no machine-learning library", "`textclf --help` must be quick"),
        _is_light,
        after=("plugin.loads",),
    ),
    Check(
        Clause(
            "plugin.pure",
            "import and hooks write no file, open no socket and start no process; hooks read no file",
            "they return descriptions",
        ),
        _hooks_do_nothing,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.still", "import and hooks leave the process as it was", "others live in it too"),
        _leaves_the_process_alone,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.quiet", "import, hooks and observers print nothing", "stdout carries the answer of a command"),
        _is_quiet,
        after=("plugin.loads",),
    ),
    *OBSERVER,
)
