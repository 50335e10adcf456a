"""Owns `textclf run`."""

from __future__ import annotations

from typing import Annotated

import typer

from .arguments import Json, Offline, Overrides, RecipeArgument, Runs, as_text
from .session import Session


def run(
    ctx: typer.Context,
    recipe: RecipeArgument,
    overrides: Overrides = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="The seed of training.")] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, max=1000, help="Train with the seeds 1 to N, and summarise.")
    ] = None,
    runs: Runs = "runs",
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Train and judge a classifier: load, split, encode, train, evaluate on the test split."""
    from .outcome import show_result

    if seed is not None and seeds is not None:
        raise typer.BadParameter("--seed names one seed, --seeds a number of them; give one of the two")
    session = Session.of(ctx)
    with session.watching() as watcher:
        engine = session.engine(runs=runs, offline=offline, observers=[watcher])
        chosen = None if seeds is None else range(1, seeds + 1)
        result = engine.run(recipe, overrides=[as_text(word) for word in overrides or ()], seed=seed, seeds=chosen)
    show_result(session, result, runs)
