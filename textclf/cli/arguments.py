"""The arguments and options that several commands share, and their completion."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer


def as_text(argument: str) -> str:
    """Return an argument as the UTF-8 that was typed, even where the locale is ASCII; not for paths."""
    return os.fsencode(argument).decode("utf-8", "replace")


def complete_recipe(incomplete: str) -> list[str]:
    """Return the bundled recipes and the recipe files here that begin so."""
    from ..plugin.discovery import discover

    # What a plugin prints while it is imported is no completion.
    with redirect_stdout(sys.stderr):
        bundled = discover().recipes
    files = (str(path) for folder in (".", "recipes") for path in Path(folder).glob("*.y*ml"))
    return sorted(name for name in {*bundled, *files} if name.startswith(incomplete))


def complete_run(incomplete: str) -> list[str]:
    """Return the runs in ./runs that begin so: by name, by name and id, or `latest`."""
    return sorted(name for name in {"latest", *_run_names(Path("runs"))} if name.startswith(incomplete))


def _run_names(folder: Path) -> Iterator[str]:
    for record in folder.glob("*/*/record.json"):
        yield record.parent.parent.name
        yield f"{record.parent.parent.name}/{record.parent.name}"


RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="A recipe file, or the name of a bundled recipe.", autocompletion=complete_recipe
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: NAME (its newest finished run), NAME/ID, a folder, or 'latest'.",
        autocompletion=complete_run,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe, as trainer.epochs=1. Repeatable."),
]
Encoding = Annotated[
    str, typer.Option("--encoding", metavar="NAME", help="How the file's characters are encoded, such as cp1252.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, everything else on stderr.")]
Runs = Annotated[str, typer.Option("--runs", metavar="DIR", help="The folder of all runs.")]
Offline = Annotated[bool, typer.Option("--offline", help="Open no connection; use only files on this machine.")]
TextColumn = Annotated[
    list[str] | None,
    typer.Option("--text", metavar="COLUMN", help="The column of the texts, repeated to join several; else guessed."),
]
