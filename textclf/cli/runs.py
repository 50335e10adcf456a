"""`textclf runs` and `textclf runs show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from .arguments import Json, RunArgument, Runs
from .format import fixed, shorten
from .session import Command, Group, Session
from .terminal import new_table

if TYPE_CHECKING:
    from ..run.folder import RunInfo


def make() -> typer.Typer:
    """Return the group: the list when called alone, and `show`."""
    group = typer.Typer(name="runs", cls=Group, invoke_without_command=True)
    group.callback()(runs)
    group.command(cls=Command)(show)
    return group


def runs(ctx: typer.Context, folder: Runs = "runs", as_json: Json = False) -> None:
    """List the runs, the newest first; `textclf runs show RUN` prints the report of one."""
    if ctx.invoked_subcommand is not None:
        return
    session = Session.of(ctx)
    with session.terminal.answering():
        infos = session.engine(runs=folder).runs_list()
        if as_json:
            session.terminal.document({"runs": [_json(info) for info in infos]})
        elif infos:
            session.terminal.answer(_table(infos))
        else:
            session.terminal.answer(f"there are no runs in '{folder}'; start with: textclf run reviews_tfidf")


def _table(infos: list[RunInfo]) -> Table:
    table = new_table("run", "state", "started", "headline on test")
    for info in infos:
        first = next(iter(info.headline.items()), None)
        score = f"{first[0]} {fixed(first[1].value)}" if first else "a study" if info.kind == "study" else ""
        started = info.started[:19].replace("T", " ")
        cells = (shorten(f"{info.name}/{info.id}", 48), info.state, started, score)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _json(info: RunInfo) -> dict[str, Any]:
    from dataclasses import asdict

    from ..evaluation.report import finite

    headline = {name: finite(asdict(estimate)) for name, estimate in info.headline.items()}
    about = {name: getattr(info, name) for name in ("name", "id", "state", "started", "source", "kind")}
    return {**about, "folder": str(info.folder), "headline": headline}


def show(ctx: typer.Context, run: RunArgument, folder: Runs = "runs", as_json: Json = False) -> None:
    """Print the report of a finished run, or the summary of a study."""
    from ..evaluation.report import SUMMARY_FILE, Report, Summary
    from ..run.folder import find
    from .render import report_parts

    session = Session.of(ctx)
    path = find(Path(folder), run, "any").path
    if not (path / SUMMARY_FILE).exists():
        path = session.engine(runs=folder).find(run)
    report = Summary.load(path) if (path / SUMMARY_FILE).exists() else Report.load(path)
    if session.terminal.as_json:
        kind = "report" if isinstance(report, Report) else "summary"
        session.terminal.document({"folder": str(path), kind: report.to_json()})
        return
    session.terminal.answer(*report_parts(report), "", f"everything is in {path}")
