"""Owns `textclf recipes`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from .arguments import Json
from .session import Session
from .terminal import plain

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def recipes(ctx: typer.Context, as_json: Json = False) -> None:
    """List the bundled recipes."""
    session = Session.of(ctx)
    rows = [
        {"name": stem, "plugin": plugin.name, "summary": _first_sentence(recipe)}
        for stem, found in sorted(session.engine().registry.recipes.items())
        for plugin, recipe in found
    ]
    if as_json:
        session.terminal.document({"recipes": rows})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recipe", "plugin", "what it does"):
        table.add_column(heading, no_wrap=heading != "what it does")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row.values()))
    session.terminal.answer(table, "", "run one: textclf run NAME      make it yours: textclf copy NAME")


def _first_sentence(recipe: Traversable) -> str:
    """Return the first sentence of the recipe's opening comment, but for what it says to editors."""
    from ..recipe.schema import is_modeline

    try:
        lines = recipe.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    words = " ".join(line.removeprefix("#").strip() for line in comment if not is_modeline(line))
    return words.partition(". ")[0].rstrip(".")
