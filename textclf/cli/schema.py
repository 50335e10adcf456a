"""Owns `textclf schema`."""

from __future__ import annotations

import typer

from .session import Session


def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of recipes, with the options of all installed plugins, for editors."""
    from ..recipe.schema import json_schema

    session = Session.of(ctx)
    session.terminal.document(json_schema(session.engine().registry))
