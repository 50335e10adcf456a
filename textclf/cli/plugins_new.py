"""`textclf plugins new`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import RecipeError, with_article
from .arguments import Json
from .session import Session

if TYPE_CHECKING:
    from ..plugin.registry import Registry
    from ..scaffold import Package


def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name in recipes, such as shape.")],
    kind: Annotated[
        str,
        typer.Option(
            "--kind", metavar="KIND", help="What it offers: dataset, encoder, trainer, metric, output or observer."
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder that gets the package.")] = Path(),
    licence: Annotated[
        str,
        typer.Option("--licence", "--license", metavar="ID", help="MIT, BSD-3-Clause, Apache-2.0 or none."),
    ] = "MIT",
    author: Annotated[str, typer.Option("--author", metavar="NAME", help="Who holds the copyright.")] = "",
    as_json: Json = False,
) -> None:
    """Write the package of a new plugin, with tests that pass: fill in one function. Nothing is overwritten."""
    from ..scaffold import package

    session = Session.of(ctx)
    made = package(name, kind, licence, author)
    _refuse_taken(made, session.engine().registry)
    folder = made.write(to)
    commands = _next_commands(made, folder)
    function, line = made.function
    if as_json:
        session.terminal.document(
            {
                "folder": str(folder), "files": list(made.files), "function": function,
                "module": f"{made.module}.py", "line": line, "next": commands,
            }
        )  # fmt: skip
        return
    session.terminal.answer(f"wrote {folder}:", *(f"  {path}" for path in made.files), "", "next:")
    session.terminal.answer(*(f"  {command}" for command in commands), "")
    session.terminal.answer(f"the function to fill in: {function}, {folder / made.module}.py:{line}")


def _next_commands(made: Package, folder: Path) -> list[str]:
    recipe = "recipe.yaml" if "recipe.yaml" in made.files else "reviews_tfidf"
    prepared = [f"cd {shlex.quote(str(folder))}", 'pip install -e ".[test]"', "pytest"]
    return [*prepared, f"textclf plugins show {made.name}", f"textclf run {recipe}"]


def _refuse_taken(made: Package, registry: Registry) -> None:
    """Refuse a name by which an installed plugin, or a component of that kind, is known already."""
    for plugin in (*registry.plugins, *registry.blocked):
        if made.name == plugin.name or made.module == plugin.module:
            raise RecipeError(f"a plugin called '{made.name}' is installed already{_by(plugin.distribution)}")
    for offer in registry.registrations:
        if (offer.kind, offer.component.name) == (made.kind, made.name):
            what = f"{with_article(made.kind)} called '{made.name}' is offered already"
            raise RecipeError(f"{what}{_by(offer.plugin.distribution)}")


def _by(distribution: str) -> str:
    return f" by {distribution}; choose another name" if distribution else "; choose another name"
