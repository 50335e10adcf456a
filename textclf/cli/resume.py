"""Owns `textclf resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from .arguments import Json, Offline, RunArgument, Runs
from .session import Session


def resume(
    ctx: typer.Context,
    run: RunArgument,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Go on although the data, a plugin or a library has changed.")
    ] = False,
    runs: Runs = "runs",
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that was interrupted, from its last checkpoint."""
    from .outcome import show_result

    session = Session.of(ctx)
    with session.watching() as watcher:
        engine = session.engine(runs=runs, offline=offline, observers=[watcher])
        result = engine.resume(run, allow_changed=allow_changed)
    show_result(session, result, runs)
