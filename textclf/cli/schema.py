"""Owns `textclf schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .session import Session


def schema(
    ctx: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Where to write it; an older schema is replaced. - is stdout."
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of recipes, with the options of all installed plugins, for editors."""
    from ..recipe.schema import FILE, json_schema, modeline, write_schema

    session = Session.of(ctx)
    registry = session.engine().registry
    if output is None or str(output) == "-":
        session.terminal.document(json_schema(registry))
        return
    target = output / FILE if output.is_dir() else output
    write_schema(target, registry)
    session.terminal.answer(f"wrote {target}", f"a recipe beside it names it so: {modeline(target.name)}")
