"""`textclf run` and `textclf resume`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import GateError
from ..evaluation.report import Gate, Report
from .arguments import Json, Offline, Overrides, RecipeArgument, RunArgument, Runs, as_text
from .format import fixed
from .render import report_parts
from .session import Session

if TYPE_CHECKING:
    from ..engine import Result


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
    """Train and evaluate a classifier: load, split, encode, train, evaluate on the test split."""
    if seed is not None and seeds is not None:
        raise typer.BadParameter("--seed names one seed, --seeds a number of them; give one of the two")
    session = Session.of(ctx)
    with session.watching() as progress:
        engine = session.engine(runs=runs, offline=offline, observers=[progress])
        chosen = None if seeds is None else range(1, seeds + 1)
        result = engine.run(recipe, overrides=[as_text(word) for word in overrides or ()], seed=seed, seeds=chosen)
    show_result(session, result, runs)


def resume(
    ctx: typer.Context,
    run: RunArgument,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Resume although the data, a plugin or a library has changed.")
    ] = False,
    runs: Runs = "runs",
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Resume an interrupted run from its last checkpoint."""
    session = Session.of(ctx)
    with session.watching() as progress:
        engine = session.engine(runs=runs, offline=offline, observers=[progress])
        result = engine.resume(run, allow_changed=allow_changed)
    show_result(session, result, runs)


def show_result(session: Session, result: Result, runs: str) -> None:
    """Print a run's report or a study's summary; a GateError where a gate is not met."""
    terminal = session.terminal
    failed = unmet_gates(result)
    if terminal.as_json:
        terminal.document(result_json(result, failed))
        if failed:
            raise GateError("\n".join(failed))
        return
    terminal.answer(*report_parts(result.report))
    name = session.name_with(_plugin_files(result))
    terminal.answer("", f"everything is in {result.folder}", f"next: {name} {next_command(result, runs)}")
    if failed:
        raise GateError("\n".join(failed))


def result_json(result: Result, failed: list[str]) -> dict[str, Any]:
    """Return the one document of `run --json` and `resume --json`."""
    kind = "report" if isinstance(result.report, Report) else "summary"
    document: dict[str, Any] = {"folder": str(result.folder), kind: result.report.to_json()}
    if result.members:
        document["members"] = [{"folder": str(m.folder), "report": m.report.to_json()} for m in result.members]
    if failed:
        document["error"] = {"message": "\n".join(failed), "exit_code": GateError.exit_code, "problems": []}
    return document


def unmet_gates(result: Result) -> list[str]:
    """Return one sentence for each gate that is not met, by the run or by a member of the study."""
    if isinstance(result.report, Report):
        return [_sentence(gate) for gate in result.report.gates if not gate.met]
    found = []
    for about, member in zip(result.report.members, result.members, strict=False):
        found += [f"{about.label}: {sentence}" for sentence in unmet_gates(member)]
    return found


def _sentence(gate: Gate) -> str:
    return f"gate not met: the lower end of {gate.metric} is {fixed(gate.low)}, below {gate.bound:g}; the run is kept"


def _plugin_files(result: Result) -> set[str]:
    """Return the plugin files that loading the model needs, without those of metrics, outputs and observers."""
    one = result.members[0] if result.members else result
    return {step.plugin.file for step in one.classifier.steps.values()}


def next_command(result: Result, runs: str) -> str:
    """Return the words after `textclf` of a command that tries the new classifier."""
    one = result.members[0] if result.members else result
    name = one.report.name
    plain = runs == "runs" and not result.members and one.folder.parent == Path(runs) / name
    second = ' --pair "and its second one"' if one.classifier.pairs else ""
    return f'predict {shlex.quote(name if plain else str(one.folder))} "a text of your own"{second}'
