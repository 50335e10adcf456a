"""Owns how a contract is checked: clauses, the findings about them, and what a broken one says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from ..errors import did_you_mean
from .elsewhere import Elsewhere
from .watching import put_right

State = Literal["passed", "failed", "not applicable", "expected failure"]
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
    """A clause and the function that tries it: it returns, raises Broken or NotApplicable, or fails in its own way.

    after: clauses without which this one says nothing: one fault is reported once, and not by all that it spoils.
    """

    clause: Clause
    attempt: Callable[[S], None]
    after: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Examination(Generic[S]):
    """The clauses of one contract, tried on one target, each when it is first asked about.

    expected: clauses that are known not to hold, each with the reason. here: whether the current folder has to be that
    of the user, since an option leads out of it.
    """

    subject: str
    checks: tuple[Check[S], ...]
    target: S
    expected: Mapping[str, str] = field(default_factory=dict)
    here: bool = False
    _elsewhere: Elsewhere = field(default_factory=Elsewhere)
    _known: dict[str, Finding] = field(default_factory=dict)
    _pointless: dict[str, str] = field(default_factory=dict)

    def finding(self, clause: str) -> Finding:
        """Return what is found of a clause; whatever the target raises is a finding about it, with its place."""
        if clause not in self._known:
            check = next(check for check in self.checks if check.clause.id == clause)
            self._known[clause] = Finding(self.subject, check.clause, *self._judged(check))
        return self._known[clause]

    def findings(self) -> list[Finding]:
        return [self.finding(check.clause.id) for check in self.checks]

    def _judged(self, check: Check[S]) -> tuple[State, str]:
        own = {known.clause.id for known in self.checks}
        for other in check.after:
            if other in own and (fault := self._fault(other)):
                self._pointless[check.clause.id] = fault
                return "not applicable", f"{fault} does not hold"
        with contextlib.nullcontext() if self.here else self._elsewhere.entered():
            state, detail = _outcome(check, self.target)
        reason = self.expected.get(check.clause.id)
        if reason is None:
            return state, detail
        if state == "passed":
            return "failed", f"it is expected to fail ({reason}), and holds: expect it no more"
        return ("expected failure", f"{reason}; found: {detail}") if state == "failed" else (state, detail)

    def _fault(self, clause: str) -> str:
        """Return the clause that does not hold and makes this one pointless to build on, itself or one behind it."""
        state = self.finding(clause).state
        return clause if state in ("failed", "expected failure") else self._pointless.get(clause, "")


def checked_expectations(expected: Mapping[str, str] | None, known: Iterable[str]) -> Mapping[str, str]:
    """Return the expected failures; a ValueError where one has no reason, or is of no clause."""
    names = list(known)
    for clause, reason in (expected or {}).items():
        if clause not in names:
            raise ValueError(f"no clause is called '{clause}'{did_you_mean(clause, names)}")
        if not reason.strip():
            raise ValueError(f"the expected failure of '{clause}' needs a reason")
    return expected or {}


def _outcome(check: Check[S], target: S) -> tuple[State, str]:
    try:
        with put_right():
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
