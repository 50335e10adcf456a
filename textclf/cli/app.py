"""The list of commands and the help page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from . import check, compare, evaluate, explain, plugins, predict, recipes, run, runs
from .session import Command

_CODES = (
    (0, "done"),
    (1, "a bug in textclf"),
    (2, "wrong arguments or recipe"),
    (3, "data"),
    (4, "download or network"),
    (5, "a plugin is missing or broken"),
    (6, "a run, model or checkpoint is damaged"),
    (7, "out of memory, disk or GPU, or held by another process"),
    (8, "training diverged, or a gate is not met"),
    (75, "interrupted; a run can be resumed"),
    (130, "Ctrl-C; a run can be resumed"),
)
_EPILOG = "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in _CODES) + "."


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"textclf {__version__}")
        raise typer.Exit


def textclf(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", metavar="FILE", help="A Python file that is a plugin, for this call. Repeatable."),
    ] = None,
) -> None:
    """Train, evaluate and use text classifiers from one recipe.

    Start with `textclf recipes`, then `textclf run reviews_tfidf`.
    """


def make() -> typer.Typer:
    """Return the typer application with every command."""
    app = typer.Typer(
        name="textclf",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog=_EPILOG,
    )
    app.callback()(textclf)
    commands: list[Callable[..., None]] = [run.run, run.resume, check.check, predict.predict, evaluate.evaluate]
    commands += [explain.explain, compare.compare, recipes.recipes, recipes.copy, recipes.schema]
    for command in commands:
        app.command(cls=Command)(command)
    app.add_typer(plugins.make())
    app.add_typer(runs.make())
    return app
