"""`textclf plugins check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PluginError, Problem, RecipeError, counted, did_you_mean
from .arguments import Json, as_text
from .session import Session

if TYPE_CHECKING:
    from ..plugin.registry import Plugin, Registration, Registry
    from ..testing.contract import Finding

Options = Mapping[str, Mapping[str, Any]]  # by the name of the component

_MARKS = {
    "passed": "holds", "failed": "FAILS", "not applicable": "-", "not tried": "not tried",
    "expected failure": "expected",
}  # fmt: skip


def check(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A plugin, or one of its components.")],
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A component's option, as files.path=mine.csv. Repeatable."),
    ] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME", help="What makes the features that a trainer reads.")
    ] = "",
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", metavar="CLAUSE=REASON", help="A clause known not to hold, and why. Repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try every clause of a plugin's contract, and print which hold.

    The exit code is 5 where one does not, or where nothing can be tried without a library or a download.
    """
    session = Session.of(ctx)
    registry = session.engine().registry
    plugin, components = registry.named(name)
    encoders = [registry.find("encoder", encoder)] if encoder else []
    values = _options([as_text(word) for word in options or ()], registry)
    _refuse_options([*(each for each in components if not _missing(each)), *encoders], values)
    findings: list[Finding] = []
    for finding in _findings(plugin, components, encoders, registry, values, _expected(expect or ())):
        if not as_json:
            session.terminal.answer(*_lines(finding, findings[-1].subject if findings else ""))
        findings.append(finding)
    states: Counter[str] = Counter(finding.state for finding in findings)
    if as_json:
        found = [{"subject": f.subject, **asdict(f.clause), "state": f.state, "detail": f.detail} for f in findings]
        counts = {"failed": states["failed"], "not_tried": states["not tried"]}
        session.terminal.document({"findings": found, **counts})
    else:
        session.terminal.answer("", _summary(states))
    verdict = [f"not tried: {reason}" for reason in _not_tried([*components, *encoders], findings)]
    if states["failed"]:
        verb = "does" if states["failed"] == 1 else "do"
        verdict.insert(0, f"{counted(states['failed'], 'clause')} of '{name}' {verb} not hold")
    if verdict:
        raise PluginError("; ".join(verdict))


def _options(flags: Sequence[str], registry: Registry) -> Options:
    """Return the options that the flags set; a RecipeError with all that is wrong with them."""
    from ..recipe import overrides

    known = sorted({each.component.name for each in registry.registrations})
    found, problems = overrides.read(flags)
    for one in found:
        if len(one.path) < 2:
            problems.append(Problem("write COMPONENT.OPTION=VALUE, such as files.path=mine.csv", (), one.place))
        elif one.path[0] not in known:
            near, broken = did_you_mean(str(one.path[0]), known), registry.broken_note()
            message = f"no component is called '{one.path[0]}'{near}{broken}"
            problems.append(Problem(message, one.path, one.place, PluginError.exit_code if broken else 2))
    values, _, wrong = overrides.apply({}, [] if problems else found)
    if problems or wrong:
        raise RecipeError([*problems, *wrong])
    return values


def _refuse_options(components: Iterable[Registration], values: Options) -> None:
    """Refuse components whose options are wrong, also by their own check, or that cannot be tried without any."""
    from ..plugin.step import Step, validate_options

    problems: list[Problem] = []
    for each in components:
        options, found = validate_options(each, values.get(each.component.name, {}))
        # A check or a validator that itself fails is reported by its clause.
        if options is None:
            found = [problem for problem in found if problem.exit_code != PluginError.exit_code]
        else:
            with suppress(PluginError):
                found = [problem for problem in Step(each.kind, each, options).check() if problem.exit_code]
        problems += [problem.under(each.component.name) for problem in found]
    if problems:
        raise RecipeError([replace(each, message=f"{each.message} (set options with --set)") for each in problems])


def _expected(flags: Iterable[str]) -> Mapping[str, str]:
    from ..testing.checks import clauses
    from ..testing.contract import checked_expectations

    parts = (as_text(flag).partition("=") for flag in flags)
    try:
        return checked_expectations({clause.strip(): reason for clause, _, reason in parts}, clauses())
    except ValueError as error:
        raise RecipeError(f"--expect: {error}") from None


def _findings(
    plugin: Plugin | None,
    components: Sequence[Registration],
    encoders: Sequence[Registration],
    registry: Registry,
    values: Options,
    expected: Mapping[str, str],
) -> Iterator[Finding]:
    from ..testing import StandIns, check_component
    from ..testing.checks import examine_plugin, not_loaded

    # The clauses of a plugin belong to each of its components, whatever the plugin is called.
    for each in dict.fromkeys([*([plugin] if plugin else []), *(one.plugin for one in components)]):
        module = registry.modules.get(each.module)
        if isinstance(module, ModuleType):
            others = [one for one in registry.registrations if one.plugin != each]
            yield from examine_plugin(module, expected, others).findings()
        elif each.broken:
            where = f"plugin {each.name} ({Path(each.file).name})" if each.file else str(each)
            yield not_loaded(where, each.error)
    stand_ins = StandIns()
    for one in encoders:
        stand_ins = StandIns(encoder=one.component, encoder_options=values.get(one.component.name, {}))
    names = Counter((one.kind, one.component.name) for one in registry.registrations)
    for one in components:
        options = values.get(one.component.name, {})
        suffix = f" ({one.plugin})" if names[one.kind, one.component.name] > 1 else ""
        for finding in check_component(one.component, one.kind, options, stand_ins, expected):
            yield replace(finding, subject=finding.subject + suffix)


def _not_tried(components: Iterable[Registration], findings: Iterable[Finding]) -> Iterator[str]:
    """Return what to install, or to set, before the clauses of components can be tried; once for each."""
    from ..testing.contract import NOT_FETCHED

    yield from filter(None, map(_missing, components))
    by_subject: dict[str, str] = {}
    for one in findings:
        if one.detail.endswith(NOT_FETCHED):
            by_subject.setdefault(one.subject, one.detail)
    yield from (f"{subject}: {detail}" for subject, detail in by_subject.items())


def _missing(one: Registration) -> str:
    """Return which libraries of a component are missing, and the command that installs them, or nothing."""
    from ..plugin.step import missing_libraries, missing_message

    missing = missing_libraries(one.component)
    return missing_message(one.kind, one.component, missing) if missing else ""


def _lines(finding: Finding, before: str) -> Iterator[str]:
    if finding.subject != before:
        yield from ([""] if before else [])
        yield finding.subject
    line = f"  {_MARKS[finding.state]:<9} {finding.clause.id:<20} "
    if finding.state == "failed":
        yield f"{line} {finding.clause.sentence}"
        yield f"{'':33}found: {finding.detail}"
        yield f"{'':33}why: {finding.clause.why}"
    else:
        yield (line + f" {finding.detail or finding.clause.sentence}").rstrip()


def _summary(states: Mapping[str, int]) -> str:
    parts = [f"{counted(states['passed'], 'clause')} held", f"{states['not applicable']} did not apply"]
    parts += [f"{states['not tried']} not tried"] if states["not tried"] else []
    parts += [f"{states['expected failure']} failed as expected"] if states["expected failure"] else []
    return ", ".join([*parts, f"{states['failed']} failed"])
