"""Owns the clauses that every plugin module keeps, before any of its components is built."""

from __future__ import annotations

from typing import Any

from ...plugin.discovery import discover
from ...plugin.single_file import is_loose
from ..clauses import Broken, Check, Clause, NotApplicable
from .module import PluginModule
from .observers import OBSERVER, observes_quietly
from .schemas import schema_of


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
    return kind, component.name, component.summary, schema_of(component.options), component.needs


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


MODULE: tuple[Check[PluginModule], ...] = (
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
