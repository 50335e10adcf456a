"""`textclf plugins` and `textclf plugins show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..plugin import events
from .arguments import Json
from .plugins_check import check
from .plugins_new import new
from .session import Command, Group, Session
from .terminal import plain

if TYPE_CHECKING:
    from ..plugin.registry import Plugin, Registration, Registry


def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component, such as bert, or a plugin.")],
    as_json: Json = False,
) -> None:
    """Print every option of a component, what it makes and reads, and a piece of a recipe to paste."""
    session = Session.of(ctx)
    registry = session.engine().registry
    plugin, offers = registry.named(name)
    if as_json:
        session.terminal.document(_shown_json(plugin, offers, registry))
        return
    if plugin is not None:
        session.terminal.answer(*_about(plugin, registry))
    for number, offer in enumerate(offers):
        session.terminal.answer(*([""] if number or plugin else []), *_component(offer))


def _about(plugin: Plugin, registry: Registry) -> Iterator[RenderableType]:
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
        yield "it sees every run while the plugin is there; no recipe names it"
        yield f"events: {', '.join(observer['events'])}"


def _observers(plugin: Plugin, registry: Registry) -> list[dict[str, Any]]:
    """Return where each observer of a plugin stands, how it or its module is described, and which events it is told."""
    import inspect

    kinds = [kind for kind in vars(events).values() if inspect.isclass(kind) and issubclass(kind, events.Event)]
    told = sorted(kind.__name__ for kind in kinds if kind is not events.Event)
    found = []
    for by, observer in registry.observers:
        if by == plugin:
            said = inspect.getdoc(observer) or inspect.getdoc(registry.modules[plugin.module]) or ""
            code = inspect.unwrap(observer).__code__
            function = f"textclf_event ({PurePath(code.co_filename).name}:{code.co_firstlineno})"
            found.append({"function": function, "summary": said.partition("\n")[0], "events": told})
    return found


def _component(offer: Registration) -> Iterator[RenderableType]:
    from ..recipe.schema import fragment, options_of

    component = offer.component
    yield f"{offer.kind} '{component.name}' of {offer.plugin}: {component.summary or 'no summary'}"
    yield from _traits(offer)
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
    yield fragment(offer.kind, component)


def _traits(offer: Registration) -> Iterator[str]:
    from ..plugin.step import missing_libraries, pip_command

    component = offer.component
    told = [f"{key}: {_said(value)}" for key, value in _told(offer).items() if value]
    if callable(component.traits) and told:
        told.append("(by its options)")
    if told:
        yield "  ".join(told)
    if component.needs:
        lacking = missing_libraries(component)
        state = f"not installed: {', '.join(lacking)}; {pip_command(component, lacking)}" if lacking else "installed"
        yield f"needs: {', '.join(component.needs)} ({state})"


def _told(offer: Registration) -> dict[str, Any]:
    """Return the traits of a component with its defaults; nothing where they hang on options that must be given."""
    from ..plugin.step import default_traits

    traits = default_traits(offer)
    if traits is None:
        return {}
    about: dict[str, Any] = {"makes": traits.makes, "reads": sorted(traits.reads), "tasks": sorted(traits.tasks)}
    flags = ("pairs", "uses_validation", "uses_unlabelled", "objectives")
    return about | {name: getattr(traits, name) for name in flags}


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "yes" if value is True else str(value)


def _shown_json(plugin: Plugin | None, offers: list[Registration], registry: Registry) -> dict[str, Any]:
    from dataclasses import asdict

    from ..recipe.schema import fragment, options_of

    about: dict[str, Any] = {}
    if plugin is not None:
        about["plugin"] = {
            "name": plugin.name, "module": plugin.module, "distribution": plugin.distribution,
            "version": plugin.version, "file": plugin.file or None, "sha256": plugin.sha256 or None,
            "broken": plugin.error or None, "deprecated": list(plugin.notes), "recipes": registry.recipes_of(plugin),
            "observers": _observers(plugin, registry),
        }  # fmt: skip
    about["components"] = [
        {
            "kind": offer.kind, "name": offer.component.name, "plugin": offer.plugin.module,
            "summary": offer.component.summary, "traits": _told(offer), "needs": list(offer.component.needs),
            "install": offer.component.install, "options": [asdict(option) for option in options_of(offer.component)],
            "recipe": fragment(offer.kind, offer.component),
        }
        for offer in offers
    ]  # fmt: skip
    return about


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
                session.terminal.answer(f"broken: {plugin.name} ({plugin.file or plugin.module}) {plugin.error}")
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


def _lacking(offer: Registration) -> list[str]:
    """Return those of the libraries that a component needs that are not installed."""
    from ..plugin.step import missing_libraries

    return missing_libraries(offer.component)


def _json(plugin: Plugin, registry: Registry) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "module": plugin.module,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "file": plugin.file or None,
        "sha256": plugin.sha256 or None,
        "broken": plugin.error or None,
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
