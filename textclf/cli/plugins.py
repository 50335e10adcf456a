"""`textclf plugins` and `textclf plugins show`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..plugin import events
from .arguments import Json
from .format import plain
from .plugins_check import check
from .plugins_new import new
from .session import Command, Group, Session

if TYPE_CHECKING:
    from ..plugin.registry import Plugin, Registration, Registry


def make() -> typer.Typer:
    """Return the group: the list when called alone, and what can be done with one plugin."""
    group = typer.Typer(name="plugins", cls=Group, invoke_without_command=True)
    group.callback()(plugins)
    for command in (show, check, new):
        group.command(cls=Command)(command)
    return group


def plugins(ctx: typer.Context, as_json: Json = False) -> None:
    """List the installed plugins and what they offer; those that are broken or blocked with the reason."""
    if ctx.invoked_subcommand is not None:
        return
    session = Session.of(ctx)
    with session.terminal.answering():
        from ..plugin.registry import BLOCK, sorted_plugins

        registry = session.engine().registry
        listed = sorted_plugins((*registry.plugins, *registry.blocked))
        if as_json:
            about = [_listed_json(plugin, registry) for plugin in listed]
            session.terminal.document({"plugins": about, "warnings": list(registry.warnings)})
            return
        table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
        for heading in ("plugin", "from", "offers", "name", "state", "what it is"):
            table.add_column(heading, no_wrap=heading != "what it is")
        for plugin in listed:
            for row, offered in enumerate(_offered(plugin, registry)):
                cells = (*(("", "") if row else (plugin.name, plugin.origin)), *offered)
                table.add_row(*(Text(plain(cell)) for cell in cells), style="red" if plugin.broken else "")
        session.terminal.answer(table)
        for plugin in registry.plugins:
            if plugin.broken:
                session.terminal.answer(f"broken: {plugin.name} ({plugin.file or plugin.module}) {plugin.error}")
            for note in plugin.notes:
                session.terminal.answer(f"deprecated: {plugin.name} ({plugin.module}) {note}")
        for plugin in registry.blocked:
            session.terminal.answer(f"blocked: {plugin.name} ({plugin.module}) by {BLOCK}")
        for warning in registry.warnings:
            session.terminal.note(f"warning: {warning}")


def _offered(plugin: Plugin, registry: Registry) -> list[tuple[str, str, str, str]]:
    """Return what a plugin offers: kind, name, state and what it is."""
    found: list[tuple[str, str, str, str]] = []
    for each in registry.of(plugin):
        missing = _missing_libraries(each)
        words = ["needs " + ", ".join(missing)] if missing else ["ready", _state(each).partition(":")[0]]
        state = ", ".join(filter(None, words))
        found.append((each.kind, each.component.name, state, each.component.summary))
    found += [("observer", "", "ready", "") for by, _ in registry.observers if by == plugin]
    found += [("recipe", stem, "", "") for stem in registry.recipes_of(plugin)]
    state = "broken" if plugin.broken else "blocked" if plugin in registry.blocked else ""
    return found or [("" if state else "nothing", "", state, "")]


def _listed_json(plugin: Plugin, registry: Registry) -> dict[str, Any]:
    offers = [
        {
            "kind": each.kind, "name": each.component.name, "summary": each.component.summary,
            "needs": list(each.component.needs), "lacking": _missing_libraries(each), "state": _state(each),
        }
        for each in registry.of(plugin)
    ]  # fmt: skip
    return {**_plugin_json(plugin, registry), "blocked": plugin in registry.blocked, "offers": offers}


def _plugin_json(plugin: Plugin, registry: Registry) -> dict[str, Any]:
    return {
        "name": plugin.name, "module": plugin.module, "distribution": plugin.distribution, "version": plugin.version,
        "file": plugin.file or None, "sha256": plugin.sha256 or None, "broken": plugin.error or None,
        "deprecated": list(plugin.notes), "recipes": registry.recipes_of(plugin),
    }  # fmt: skip


def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component, such as bert, or a plugin.")],
    as_json: Json = False,
) -> None:
    """Print every option of a component, what it makes and reads, and a piece of a recipe to paste."""
    session = Session.of(ctx)
    registry = session.engine().registry
    plugin, components = registry.named(name)
    if as_json:
        about: dict[str, Any] = {}
        if plugin is not None:
            about["plugin"] = {**_plugin_json(plugin, registry), "observers": _observers(plugin, registry)}
        session.terminal.document({**about, "components": [_component_json(each) for each in components]})
        return
    if plugin is not None:
        session.terminal.answer(*_plugin_parts(plugin, registry))
    for row, each in enumerate(components):
        session.terminal.answer(*([""] if row or plugin else []), *_component_parts(each))


def _plugin_parts(plugin: Plugin, registry: Registry) -> Iterator[RenderableType]:
    yield f"plugin {plugin.name}: module {plugin.module}, from {plugin.origin or 'no distribution'}"
    if plugin.broken:
        yield f"broken: {plugin.error}"
    recipes = registry.recipes_of(plugin)
    if recipes:
        yield f"recipes: {', '.join(recipes)}"
    for note in plugin.notes:
        yield f"deprecated: {note}"
    for observer in _observers(plugin, registry):
        yield ""
        yield f"observer {observer['function']}: {observer['summary'] or 'no summary'}"
        yield "it sees every run while the plugin is loaded; no recipe names it"
        yield f"events: {', '.join(observer['events'])}"


def _observers(plugin: Plugin, registry: Registry) -> list[dict[str, Any]]:
    """Return for each observer of a plugin where it stands, how it or its module is described, and its events."""
    kinds = [kind for kind in vars(events).values() if inspect.isclass(kind) and issubclass(kind, events.Event)]
    received = sorted(kind.__name__ for kind in kinds if kind is not events.Event)
    found = []
    for by, observer in registry.observers:
        if by == plugin:
            text = inspect.getdoc(observer) or inspect.getdoc(registry.modules[plugin.module]) or ""
            code = inspect.unwrap(observer).__code__
            function = f"textclf_event ({PurePath(code.co_filename).name}:{code.co_firstlineno})"
            found.append({"function": function, "summary": text.partition("\n")[0], "events": received})
    return found


def _component_parts(one: Registration) -> Iterator[RenderableType]:
    from ..plugin.step import pip_command
    from ..recipe.schema import fragment, options_of

    component = one.component
    yield f"{one.kind} '{component.name}' of {one.plugin}: {component.summary or 'no summary'}"
    traits = [f"{key}: {_trait_text(value)}" for key, value in _traits(one).items() if value]
    if traits:
        yield "  ".join([*traits, "(by its options)"] if callable(component.traits) else traits)
    if component.needs:
        missing = _missing_libraries(one)
        state = f"not installed: {', '.join(missing)}; {pip_command(component, missing)}" if missing else "installed"
        yield f"needs: {', '.join(component.needs)} ({state})"
    if found := _state(one):
        yield f"state: {found}"
    options = options_of(component)
    if options:
        table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
        for heading in ("option", "type", "default", "what it is"):
            table.add_column(heading, no_wrap=heading == "option", overflow="fold")
        for option in options:
            bounds = f" ({option.bounds})" if option.bounds else ""
            cells = (option.name, option.type + bounds, option.default or "required", option.description)
            table.add_row(*(Text(plain(cell)) for cell in cells))
        yield ""
        yield table
    yield ""
    yield fragment(one.kind, component)


def _component_json(one: Registration) -> dict[str, Any]:
    from ..recipe.schema import fragment, options_of

    component = one.component
    return {
        "kind": one.kind, "name": component.name, "plugin": one.plugin.module, "summary": component.summary,
        "traits": _traits(one), "needs": list(component.needs), "install": component.install,
        "options": [asdict(option) for option in options_of(component)], "recipe": fragment(one.kind, component),
    }  # fmt: skip


def _traits(one: Registration) -> dict[str, Any]:
    """Return the traits of a component with its defaults; nothing where they depend on required options."""
    from ..plugin.step import default_traits

    traits = default_traits(one)
    if traits is None:
        return {}
    about: dict[str, Any] = {"makes": traits.makes, "reads": sorted(traits.reads), "tasks": sorted(traits.tasks)}
    flags = ("pairs", "uses_validation", "uses_unlabelled", "objectives")
    return about | {name: getattr(traits, name) for name in flags}


def _trait_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "yes" if value is True else str(value)


def _state(one: Registration) -> str:
    from ..plugin.step import state_of

    return state_of(one.component)


def _missing_libraries(one: Registration) -> list[str]:
    from ..plugin.step import missing_libraries

    return missing_libraries(one.component)
