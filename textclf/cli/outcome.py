"""Owns what a finished run or study ends with: the report, the gates, and the next command to type."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GateError
from ..evaluation.report import Gate, Report
from .console import report_parts, summary_parts
from .session import Session
from .words import fixed

if TYPE_CHECKING:
    from ..engine import Result


def show_result(session: Session, result: Result, runs: str) -> None:
    """Print a run's report or a study's summary; a GateError where a gate is not met."""
    terminal = session.terminal
    failed = unmet_gates(result)
    if terminal.as_json:
        terminal.document(result_json(result, failed))
        if failed:
            raise GateError("\n".join(failed))
        return
    if isinstance(result.report, Report):
        terminal.answer(*report_parts(result.report))
    else:
        terminal.answer(*summary_parts(result.report))
    name = session.name_with(_files_of_model(result))
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


def _files_of_model(result: Result) -> set[str]:
    """Return the plugin files that loading the model needs: not those of metrics, outputs and observers."""
    one = result.members[0] if result.members else result
    return {step.offer.plugin.file for step in one.classifier.steps.values()}


def next_command(result: Result, runs: str) -> str:
    """Return the command, behind `textclf`, by which a person tries the new classifier."""
    one = result.members[0] if result.members else result
    name = one.report.name
    plain = runs == "runs" and not result.members and one.folder.parent == Path(runs) / name
    second = ' --pair "and its second one"' if one.classifier.pairs else ""
    return f'predict {shlex.quote(name if plain else str(one.folder))} "a text of your own"{second}'
