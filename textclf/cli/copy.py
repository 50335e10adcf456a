"""Owns `textclf copy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import RecipeError, did_you_mean, listing
from .arguments import complete_recipe
from .session import Session


def copy(
    ctx: typer.Context,
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="The name of a bundled recipe.", autocompletion=complete_recipe)
    ],
    to: Annotated[
        Path | None, typer.Argument(metavar="TO", help="Where to, recipes/RECIPE.yaml unless said.")
    ] = None,
) -> None:
    """Copy a bundled recipe into a file of your own. Nothing is overwritten."""
    from ..hooks.registry import check_recipes

    session = Session.of(ctx)
    known = session.engine().registry.recipes
    stem = recipe.removeprefix("recipes/").removesuffix(".yaml")
    if stem not in known:
        raise RecipeError(
            f"no bundled recipe is called '{recipe}'{did_you_mean(stem, known)} (bundled: {listing(sorted(known))})"
        )
    target = Path("recipes") / f"{stem}.yaml" if to is None else to
    target = target / f"{stem}.yaml" if target.is_dir() else target
    _write_new(target, check_recipes(known, stem).read_bytes())
    session.terminal.answer(f"wrote {target}", f"change it, then: textclf run {target}")


def _write_new(target: Path, content: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise RecipeError(f"{target} exists already and is not overwritten; name another file") from None
    except OSError as error:
        raise RecipeError(f"{target} cannot be written: {error.strerror}; name another file") from None
