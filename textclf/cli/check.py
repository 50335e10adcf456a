"""`textclf check`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from .arguments import Json, Overrides, RecipeArgument, as_text
from .format import plain
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..plugin.registry import Registry
    from ..plugin.step import Step
    from ..recipe.plan import Plan


def check(ctx: typer.Context, recipe: RecipeArgument, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check a recipe without running it, and print the plan."""
    session = Session.of(ctx)
    engine = session.engine()
    plan = engine.plan(recipe, overrides=[as_text(word) for word in overrides or ()])
    if as_json:
        session.terminal.document(_json(plan))
        return
    session.terminal.answer(f"{plan.settings.name}: {plan.recipe.source} is valid; nothing was run", "", _table(plan))
    for warning in plan.warnings:
        session.terminal.note(f"warning: {warning}")
    _warn_of_editors(plan, engine.registry, session)
    words = ["run", str(recipe), *(word for change in overrides or () for word in ("--set", as_text(change)))]
    session.terminal.answer("", f"next: {session.name} {shlex.join(words)}")


def _warn_of_editors(plan: Plan, registry: Registry, session: Session) -> None:
    """Warn of an old schema beside the recipe, by which an editor may underline what is valid."""
    from ..recipe.schema import stale_schema

    stale = stale_schema(Path(plan.recipe.source), registry)
    if stale is not None:
        renew = f"{session.name} schema --output {shlex.quote(str(stale))}"
        session.terminal.note(f"warning: {stale}, which editors read, is not of the plugins installed now; {renew}")


def _steps(plan: Plan) -> Iterator[Step[Any]]:
    if plan.dataset is not None:
        yield plan.dataset
    yield plan.encoder
    yield plan.trainer
    yield from plan.metrics
    yield from plan.outputs


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=False)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for step in _steps(plan):
        options = {key: value for key, value in step.to_recipe().items() if key != "use"}
        table.add_row(step.kind, Text(plain(step.name), style="bold"), Text(plain(_inline(options))))
    settings = plan.settings.model_dump(mode="json", exclude_none=True)
    for key in ("clean", "split", "seed", "seeds", "decide", "gates", "report"):
        if settings.get(key) not in (None, [], {}):
            table.add_row(key, "", Text(plain(_inline(settings[key]))))
    select = f"best epoch by {plan.select}"
    if not plan.uses_validation:
        unused = "; the texts of split.validation are trained on" if plan.settings.split.validation else ""
        select = f"no validation split, since nothing reads one{unused}"
    table.add_row("select", "", Text(plain(select)))
    return table


def _inline(value: Any) -> str:
    """Return values in one line, as YAML."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_inline(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(_inline(inner) for inner in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and (not any(map(str.isalnum, value)) or "," in value or value != value.strip()):
        return f"'{value}'"
    return "null" if value is None else str(value)


def _json(plan: Plan) -> dict[str, Any]:
    return {
        "source": plan.recipe.source,
        "recipe": plan.resolved(),
        "components": [
            {"kind": step.kind, "name": step.name, "plugin": step.plugin.module} for step in _steps(plan)
        ],
        "select": plan.select,
        "uses_validation": plan.uses_validation,
        "warnings": list(plan.warnings),
    }
