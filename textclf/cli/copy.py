"""Owns `textclf copy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import RecipeError, TextclfError, did_you_mean, listing
from .arguments import complete_recipe
from .session import Session

if TYPE_CHECKING:
    from ..plugin.registry import Registry


def copy(
    ctx: typer.Context,
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="The name of a bundled recipe.", autocompletion=complete_recipe)
    ],
    to: Annotated[
        Path | None, typer.Argument(metavar="TO", help="Where to, recipes/RECIPE.yaml unless said.")
    ] = None,
) -> None:
    """Copy a bundled recipe into a file of your own, and the schema by which editors complete it beside it.

    No recipe is overwritten; an older schema is.
    """
    from ..plugin.registry import check_recipes
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
    content = check_recipes(known, stem).read_bytes()
    _write_new(target, content)
    session.terminal.answer(f"wrote {target}")
    if names_schema(content.decode("utf-8", "replace")):
        _write_schema(target.parent, registry, session)
    session.terminal.answer(f"change it, then: textclf run {target}")


def _write_schema(folder: Path, registry: Registry, session: Session) -> None:
    """Write the schema that the recipe names; where that cannot be, say why: the recipe is as good without it."""
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
