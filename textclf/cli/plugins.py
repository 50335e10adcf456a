"""Owns `textclf plugins`: the list of what is installed, and the group of its commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from .arguments import Json
from .plugins_check import check
from .plugins_new import new
from .plugins_show import show
from .session import Command, Group, Session
from .terminal import plain

if TYPE_CHECKING:
    from ..plugin.registry import Offer, Plugin, Registry

COMMANDS: tuple[Callable[..., None], ...] = (
    show,
    check,
    new,
)


def make() -> typer.Typer:
    """Return the group: the list when called alone, and what can be done with one plugin."""
    group = typer.Typer(name="plugins", cls=Group, invoke_without_command=True)
    group.callback()(plugins)
    for command in COMMANDS:
        group.command(cls=Command)(command)
    return group


def plugins(ctx: typer.Context, as_json: Json = False) -> None:
    """List the installed plugins and what they offer; those that are broken or kept out with the reason."""
    if ctx.invoked_subcommand is not None:
        return
    session = Session.of(ctx)
    with session.terminal.answering():
        from ..plugin.registry import BLOCK, sorted_plugins

        registry = session.engine().registry
        listed = sorted_plugins((*registry.plugins, *registry.blocked))
        if as_json:
            about = [_json(plugin, registry) for plugin in listed]
            session.terminal.document({"plugins": about, "warnings": list(registry.warnings)})
            return
        session.terminal.answer(_table(listed, registry))
        for plugin in registry.plugins:
            if plugin.broken:
                session.terminal.answer(f"broken: {plugin.name} ({plugin.file or plugin.module}) {plugin.reason}")
            for note in plugin.notes:
                session.terminal.answer(f"deprecated: {plugin.name} ({plugin.module}) {note}")
        for plugin in registry.blocked:
            session.terminal.answer(f"kept out: {plugin.name} ({plugin.module}) by {BLOCK}")
        for warning in registry.warnings:
            session.terminal.note(f"warning: {warning}")


def _table(listed: Sequence[Plugin], registry: Registry) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for heading in ("plugin", "from", "offers", "name", "state", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for plugin in listed:
        first = [plugin.name, plugin.origin]
        for row, offer in enumerate(_offered(plugin, registry)):
            cells = [*(first if row == 0 else ("", "")), *offer]
            table.add_row(*(Text(plain(cell)) for cell in cells), style="red" if plugin.broken else "")
    return table


def _offered(plugin: Plugin, registry: Registry) -> list[tuple[str, str, str, str]]:
    """Return what a plugin offers: kind, name, state and what it is."""
    found: list[tuple[str, str, str, str]] = []
    for offer in registry.of(plugin):
        lacking = _lacking(offer)
        state = f"needs {', '.join(lacking)}" if lacking else "ready"
        found.append((offer.kind, offer.component.name, state, offer.component.summary))
    found += [("observer", "", "ready", "") for by, _ in registry.observers if by == plugin]
    found += [("recipe", stem, "", "") for stem in registry.recipes_of(plugin)]
    state = "broken" if plugin.broken else "kept out" if plugin in registry.blocked else ""
    return found or [("" if state else "nothing", "", state, "")]


def _lacking(offer: Offer) -> list[str]:
    """Return those of the libraries that a component needs that are not installed."""
    from ..plugin.step import lacking_libraries

    return lacking_libraries(offer.component)


def _json(plugin: Plugin, registry: Registry) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "module": plugin.module,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "file": plugin.file or None,
        "sha256": plugin.sha256 or None,
        "broken": plugin.reason or None,
        "blocked": plugin in registry.blocked,
        "deprecated": list(plugin.notes),
        "offers": [
            {
                "kind": offer.kind,
                "name": offer.component.name,
                "summary": offer.component.summary,
                "needs": list(offer.component.needs),
                "lacking": _lacking(offer),
            }
            for offer in registry.of(plugin)
        ],
        "recipes": registry.recipes_of(plugin),
    }
