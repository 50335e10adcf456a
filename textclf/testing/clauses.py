"""Owns how a contract is checked: clauses, the findings about them, and what a broken one says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

State = Literal["passed", "failed", "not applicable"]
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence of a contract, and why it matters."""

    id: str
    sentence: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about one clause; `detail` says what happened, or why the clause does not apply."""

    subject: str
    clause: Clause
    state: State
    detail: str = ""

    def __str__(self) -> str:
        if self.state != "failed":
            return f"{self.subject}: {self.clause.id}: {self.state}" + (f" ({self.detail})" if self.detail else "")
        broken = f"{self.subject}: {self.clause.id}: {self.clause.sentence}"
        return f"{broken}\n  found: {self.detail}\n  why: {self.clause.why}"


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """A clause and the function that tries it: it returns, raises Broken or NotApplicable, or fails in its own way."""

    clause: Clause
    attempt: Callable[[S], None]


class Broken(Exception):  # noqa: N818 - a verdict on what is checked, not an error of the check
    """A clause does not hold; the message says what was found."""


class NotApplicable(Exception):  # noqa: N818 - as above
    """A clause says nothing about this component; the message says why."""


class ContractBroken(AssertionError):  # noqa: N818 - pytest shows assertion errors without their inner workings
    """Clauses of a contract do not hold; `findings` are those."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        clauses = "1 clause does not hold" if len(findings) == 1 else f"{len(findings)} clauses do not hold"
        super().__init__("\n".join([f"{clauses}:", *map(str, findings)]))


def attempt(subject: str, checks: Iterable[Check[S]], target: S) -> list[Finding]:
    """Try each clause; whatever a component raises is a finding about it, with the place where it was raised."""
    return [Finding(subject, check.clause, *_outcome(check, target)) for check in checks]


def _outcome(check: Check[S], target: S) -> tuple[State, str]:
    try:
        check.attempt(target)
    except NotApplicable as reason:
        return "not applicable", str(reason)
    except Broken as broken:
        return "failed", str(broken)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit included
        return "failed", f"{type(error).__name__}: {error}{_origin(error)}"
    return "passed", ""


def _origin(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
