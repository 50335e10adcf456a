"""`textclf recipes`, `textclf copy` and `textclf schema`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ..errors import RecipeError, TextclfError, did_you_mean, listing
from .arguments import Json, complete_recipe
from .format import plain
from .session import Session
from .terminal import new_table

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ..plugin.registry import Registry


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
    table = new_table("recipe", "plugin", "what it does", folded=True)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row.values()))
    session.terminal.answer(table, "", "run one: textclf run NAME      make it yours: textclf copy NAME")


def _first_sentence(recipe: Traversable) -> str:
    """Return the first sentence of the recipe's opening comment, without a line for editors."""
    from ..recipe.schema import is_modeline

    try:
        lines = recipe.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    words = " ".join(line.removeprefix("#").strip() for line in comment if not is_modeline(line))
    return words.partition(". ")[0].rstrip(".")


def copy(
    ctx: typer.Context,
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="The name of a bundled recipe.", autocompletion=complete_recipe)
    ],
    to: Annotated[
        Path | None, typer.Argument(metavar="TO", help="The file to write; else recipes/RECIPE.yaml.")
    ] = None,
) -> None:
    """Copy a bundled recipe into a file of your own, with the schema by which editors complete it.

    No recipe is overwritten; an older schema is.
    """
    from ..plugin.registry import find_recipe
    from ..recipe.schema import names_schema

    session = Session.of(ctx)
    registry = session.engine().registry
    known = registry.recipes
    stem = recipe.removeprefix("recipes/").removesuffix(".yaml")
    if stem not in known:
        raise RecipeError(
            f"no bundled recipe is called '{recipe}'{did_you_mean(stem, known)} (bundled: {listing(sorted(known))})"
        )
    target = Path("recipes") / f"{stem}.yaml" if to is None else to
    target = target / f"{stem}.yaml" if target.is_dir() else target
    content = find_recipe(known, stem).read_bytes()
    _write_new(target, content)
    session.terminal.answer(f"wrote {target}")
    if names_schema(content.decode("utf-8", "replace")):
        _write_schema(target.parent, registry, session)
    session.terminal.answer(f"change it, then: textclf run {target}")


def _write_schema(folder: Path, registry: Registry, session: Session) -> None:
    """Write the schema that the recipe names; an error is only noted, since the recipe works without it."""
    from ..recipe.schema import FILE, write_schema

    target = folder / FILE
    try:
        write_schema(target, registry)
    except TextclfError as error:
        session.terminal.note(f"editors will not complete the recipe: {error}")
        return
    session.terminal.answer(f"wrote {target}, by which editors complete the recipe")


def _write_new(target: Path, content: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise RecipeError(f"{target} exists already and is not overwritten; name another file") from None
    except OSError as error:
        raise RecipeError(f"{target} cannot be written: {error.strerror}; name another file") from None


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
