"""The clauses of every contract, and the functions that check a component or a whole plugin against them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from ...errors import did_you_mean
from ...plugin.component import Component, Kind
from ...plugin.discovery import discover
from ...plugin.registry import Registration
from ..contract import Check, ContractBroken, Examination, Finding, checked_expectations
from ..sandbox import leads_out
from .component import COMPONENT
from .dataset import DATASET
from .encoder import ENCODER, FINGERPRINT, OTHERWISE, PROCESS
from .explain import EXPLAINED_ENCODER, EXPLAINED_TRAINER
from .metric import METRIC
from .output import OUTPUT
from .plugin import MODULE, SPELT, PluginModule
from .side_effects import WORK
from .subject import StandIns, Subject
from .token_encoder import TOKEN_ENCODER
from .trainer import RESUMED_TRAINER, SPARSE_TRAINER, TAUGHT_TRAINER, TRAINER

PLUGIN: tuple[Check[PluginModule], ...] = MODULE + SPELT
CONTRACTS: Mapping[Kind, tuple[Check[Subject], ...]] = {
    "dataset": DATASET,
    "encoder": ENCODER + OTHERWISE + FINGERPRINT + PROCESS + TOKEN_ENCODER + EXPLAINED_ENCODER,
    "trainer": TRAINER + TAUGHT_TRAINER + SPARSE_TRAINER + RESUMED_TRAINER + EXPLAINED_TRAINER,
    "metric": METRIC,
    "output": OUTPUT,
}


def clauses() -> list[str]:
    """Return the id of every clause there is."""
    of_kinds = [check.clause.id for checks in CONTRACTS.values() for check in checks]
    return [*(check.clause.id for check in PLUGIN), *(check.clause.id for check in (*COMPONENT, *WORK)), *of_kinds]


def check_component(
    component: Component[Any, Any],
    kind: Kind,
    options: Mapping[str, Any] | None = None,
    stand_ins: StandIns | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Try every clause of a component's contract, with the options as a recipe would give them.

    stand_ins: what stands in the places of a recipe's other steps; the toy plugin where it says nothing. expected: the
    clauses that are known not to hold, each with the reason.
    """
    known = checked_expectations(expected, clauses())
    with TemporaryDirectory(prefix="textclf-check-") as folder:
        return _examine(component, kind, options, stand_ins, known, Path(folder)).findings()


def check_plugin(
    module: ModuleType,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    stand_ins: StandIns | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Try every clause of a plugin's contract and of each component it offers; `options` is by component name."""
    known = checked_expectations(expected, clauses())
    offers = _offers(module, options)
    findings = examine_plugin(module, known).findings()
    for offer in offers:
        chosen = (options or {}).get(offer.component.name)
        findings += check_component(offer.component, offer.kind, chosen, stand_ins, expected)
    return findings


def require(findings: Iterable[Finding]) -> None:
    """Raise ContractBroken with everything that failed, or return."""
    failed = [finding for finding in findings if finding.state == "failed"]
    if failed:
        raise ContractBroken(failed)


@dataclass(frozen=True, slots=True)
class Case:
    """One clause, to be tried on one component or plugin: a test of pytest's."""

    examination: Examination[Any]
    clause: str

    def check(self) -> None:
        """Return where the clause holds; skip where it does not apply or was not tried; else raise ContractBroken."""
        finding = self.examination.finding(self.clause)
        if finding.state == "failed":
            raise ContractBroken([finding])
        if finding.state != "passed":
            import pytest

            (pytest.xfail if finding.state == "expected failure" else pytest.skip)(finding.detail)

    def __str__(self) -> str:
        return f"{self.examination.subject}: {self.clause}"


def contract(
    module: ModuleType,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    stand_ins: StandIns | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[Case]:
    """Return a case for each clause of a plugin and of its components: parametrise a test with them.

    As `check_plugin`, and each clause is tried when its test runs.
    """
    known = checked_expectations(expected, clauses())
    examinations: list[Examination[Any]] = [examine_plugin(module, known)]
    for offer in _offers(module, options):
        chosen = (options or {}).get(offer.component.name)
        examinations.append(_examine(offer.component, offer.kind, chosen, stand_ins, known))
    return [Case(one, check.clause.id) for one in examinations for check in one.checks]


def _offers(module: ModuleType, options: Mapping[str, object] | None) -> Sequence[Registration]:
    """Return what a plugin offers; a ValueError where options are for a component that a sound one does not offer."""
    found = discover([module], entry_points=False)
    known = sorted({offer.component.name for offer in found.registrations})
    unknown = [] if any(plugin.broken for plugin in found.plugins) else [n for n in options or {} if n not in known]
    if unknown:
        near = did_you_mean(unknown[0], known) or f" (offered: {', '.join(known) or 'none'})"
        raise ValueError(f"options: no component is called '{unknown[0]}'{near}")
    return found.registrations


def examine_plugin(
    module: ModuleType, expected: Mapping[str, str] | None = None, others: Sequence[Registration] = ()
) -> Examination[PluginModule]:
    """Return the examination of a plugin without its components; `others`: what plugins beside it offer."""
    plugin = PluginModule(module, others)
    return Examination(str(plugin), PLUGIN, plugin, expected or {}, owner=module)


def not_loaded(subject: str, reason: str) -> Finding:
    """Return what is found of a plugin that has no module, since it fails at import."""
    (loads,) = (check.clause for check in PLUGIN if check.clause.id == "plugin.loads")
    return Finding(subject, loads, "failed", reason)


def _examine(
    component: Component[Any, Any],
    kind: Kind,
    options: Mapping[str, Any] | None,
    stand_ins: StandIns | None,
    expected: Mapping[str, str],
    folder: Path | None = None,
) -> Examination[Subject]:
    subject = Subject(component, kind, options or {}, stand_ins or StandIns(), folder)
    made = ("options.read", "component.traits", "component.build", "component.fresh")
    built = (replace(check, after=(*made, *check.after)) for check in CONTRACTS[kind] + WORK)
    here = leads_out(options) or leads_out(subject.stand_ins.encoder_options)
    return Examination(f"{kind} '{component.name}'", (*COMPONENT, *built), subject, expected, component, here)
