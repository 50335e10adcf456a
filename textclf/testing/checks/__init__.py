"""The clauses of every contract, and the functions that check a component or a whole plugin against them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from ...hooks.components import Component, Kind
from ...hooks.discovery import discover
from ..clauses import Check, ContractBroken, Finding, attempt
from .components import COMPONENT
from .datasets import DATASET
from .encoders import ENCODER
from .explaining import EXPLAINED_ENCODER, EXPLAINED_TRAINER
from .metrics import METRIC
from .outputs import OUTPUT
from .plugins import PLUGIN, PluginModule
from .subject import StandIns, Subject
from .token_encoders import TOKEN_ENCODER
from .trainers import TRAINER

CONTRACTS: Mapping[Kind, tuple[Check[Subject], ...]] = {
    "dataset": DATASET,
    "encoder": ENCODER + TOKEN_ENCODER + EXPLAINED_ENCODER,
    "trainer": TRAINER + EXPLAINED_TRAINER,
    "metric": METRIC,
    "output": OUTPUT,
}


def check_component(
    component: Component[Any, Any],
    kind: Kind,
    options: Mapping[str, Any] | None = None,
    stand_ins: StandIns | None = None,
) -> list[Finding]:
    """Try every clause of a component's contract, with the options as a recipe would give them.

    `stand_ins` says what stands in the places of a recipe's other steps; the toy plugin where it says nothing.
    """
    with TemporaryDirectory(prefix="textclf-check-") as folder:
        subject = Subject(component, kind, options or {}, stand_ins or StandIns(), Path(folder))
        name = f"{kind} '{component.name}'"
        findings = attempt(name, COMPONENT, subject)
        return findings + attempt(name, CONTRACTS[kind], subject)


def check_plugin(
    module: ModuleType,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    stand_ins: StandIns | None = None,
) -> list[Finding]:
    """Try every clause of a plugin's contract and of each component it offers; `options` is by component name."""
    findings = attempt(f"plugin {module.__name__}", PLUGIN, PluginModule(module))
    for offer in discover([module], entry_points=False).offers:
        chosen = (options or {}).get(offer.component.name)
        findings += check_component(offer.component, offer.kind, chosen, stand_ins)
    return findings


def require(findings: Iterable[Finding]) -> None:
    """Raise ContractBroken with everything that failed, or return."""
    failed = [finding for finding in findings if finding.state == "failed"]
    if failed:
        raise ContractBroken(failed)
