"""Owns `textclf plugins check`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, replace
from functools import partial
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
    """Try every clause of a plugin's contract, and say which hold.

    The exit code is 5 where one does not, or where nothing can be tried without a library or a download.
    """
    session = Session.of(ctx)
    registry = session.engine().registry
    plugin, offers = registry.named(name)
    given = _options([as_text(word) for word in options or ()], registry)
    _refuse_options([offer for offer in offers if not _absence(offer)], given)
    findings: list[Finding] = []
    for finding in _findings(plugin, offers, registry, given, encoder, _expected(expect or ())):
        if not as_json:
            session.terminal.answer(*_lines(finding, findings[-1].subject if findings else ""))
        findings.append(finding)
    failed = sum(finding.state == "failed" for finding in findings)
    if as_json:
        not_tried = sum(finding.state == "not tried" for finding in findings)
        told = [_json(finding) for finding in findings]
        session.terminal.document({"findings": told, "failed": failed, "not_tried": not_tried})
    else:
        session.terminal.answer("", _summary(findings))
    verdict = [f"{counted(failed, 'clause')} of '{name}' {'does' if failed == 1 else 'do'} not hold"] if failed else []
    stand_in = [registry.find("encoder", encoder)] if encoder else []
    verdict += [f"not tried: {reason}" for reason in _untried([*offers, *stand_in], findings)]
    if verdict:
        raise PluginError("; ".join(verdict))


def _findings(
    plugin: Plugin | None,
    offers: Sequence[Registration],
    registry: Registry,
    given: Mapping[str, Mapping[str, Any]],
    encoder: str,
    expected: Mapping[str, str],
) -> Iterator[Finding]:
    from ..testing import StandIns, check_component
    from ..testing.checks import examine_plugin, not_loaded

    # A component is as sound as the plugin that brings it, whatever that is called.
    for each in dict.fromkeys([*([plugin] if plugin else []), *(offer.plugin for offer in offers)]):
        module = registry.modules.get(each.module)
        if isinstance(module, ModuleType):
            others = [offer for offer in registry.registrations if offer.plugin != each]
            yield from _quietly(examine_plugin(module, expected, others).findings)
        elif each.broken:
            where = f"plugin {each.name} ({Path(each.file).name})" if each.file else str(each)
            yield not_loaded(where, each.error)
    stand_ins = StandIns()
    if encoder:
        made = registry.find("encoder", encoder)
        _refuse_options([made], given)
        stand_ins = StandIns(encoder=made.component, encoder_options=given.get(encoder, {}))
    for offer in offers:
        values = given.get(offer.component.name, {})
        found = _quietly(partial(check_component, offer.component, offer.kind, values, stand_ins, expected))
        namesakes = [other for other in registry.registrations if _named(other) == _named(offer)]
        apart = f" ({offer.plugin})" if len(namesakes) > 1 else ""
        yield from (replace(finding, subject=finding.subject + apart) for finding in found)


def _named(offer: Registration) -> tuple[str, str]:
    return offer.kind, offer.component.name


def _quietly(examine: Callable[[], list[Finding]]) -> list[Finding]:
    """Keep stdout to the answer: what a plugin prints goes to stderr."""
    with redirect_stdout(sys.stderr):
        return examine()


def _options(flags: Sequence[str], registry: Registry) -> dict[str, dict[str, Any]]:
    """Return the options that the flags give, by component; a RecipeError with all that is wrong with them."""
    from ..recipe import overrides

    known = sorted({offer.component.name for offer in registry.registrations})
    set_, problems = overrides.read(flags)
    for one in set_:
        if len(one.path) < 2:
            problems.append(Problem("write COMPONENT.OPTION=VALUE, such as files.path=mine.csv", (), one.place))
        elif one.path[0] not in known:
            near, broken = did_you_mean(str(one.path[0]), known), registry.broken_note()
            message = f"no component is called '{one.path[0]}'{near}{broken}"
            problems.append(Problem(message, one.path, one.place, PluginError.exit_code if broken else 2))
    if problems:
        raise RecipeError(problems)
    values, _, problems = overrides.apply({}, set_)
    if problems:
        raise RecipeError(problems)
    return values


def _refuse_options(offers: Sequence[Registration], given: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse components whose options are wrong, also by their own check, or that cannot be tried without any."""
    from ..plugin.step import Step, validate_options

    problems: list[Problem] = []
    for offer in offers:
        values = given.get(offer.component.name, {})
        options, found = validate_options(offer, values)
        if options is not None:
            with suppress(PluginError):  # a check that fails is for its clause to find
                found = [problem for problem in Step(offer.kind, offer, options).check() if problem.exit_code]
        else:  # nor is a validator that fails the user's
            found = [problem for problem in found if problem.exit_code != PluginError.exit_code]
        problems += [problem.under(offer.component.name) for problem in found]
    if problems:
        said = [replace(problem, message=f"{problem.message} (options are given by --set)") for problem in problems]
        raise RecipeError(said)


def _absence(offer: Registration) -> str:
    """Say which libraries a component lacks, and the command that brings them, or nothing."""
    from ..plugin.step import missing_libraries, missing_message

    lacking = missing_libraries(offer.component)
    return missing_message(offer.kind, offer.component, lacking) if lacking else ""


def _untried(offers: Iterable[Registration], findings: Iterable[Finding]) -> Iterator[str]:
    """Say what has to be installed, or named, before the clauses of components can be tried; once of each."""
    from ..testing.contract import NOT_FETCHED

    yield from filter(None, map(_absence, offers))
    lacking: dict[str, str] = {}
    for one in findings:
        if one.detail.endswith(NOT_FETCHED):
            lacking.setdefault(one.subject, one.detail)
    yield from (f"{subject}: {detail}" for subject, detail in lacking.items())


def _expected(flags: Iterable[str]) -> Mapping[str, str]:
    from ..testing.checks import clauses
    from ..testing.contract import checked_expectations

    said = (as_text(flag).partition("=") for flag in flags)
    try:
        return checked_expectations({clause.strip(): reason for clause, _, reason in said}, clauses())
    except ValueError as error:
        raise RecipeError(f"--expect: {error}") from None


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


def _summary(findings: Sequence[Finding]) -> str:
    states = Counter(finding.state for finding in findings)
    said = [f"{counted(states['passed'], 'clause')} held", f"{states['not applicable']} did not apply"]
    said += [f"{states['not tried']} not tried"] if states["not tried"] else []
    said += [f"{states['expected failure']} failed as expected"] if states["expected failure"] else []
    return ", ".join([*said, f"{states['failed']} failed"])


def _json(finding: Finding) -> dict[str, Any]:
    return {"subject": finding.subject, **asdict(finding.clause), "state": finding.state, "detail": finding.detail}
