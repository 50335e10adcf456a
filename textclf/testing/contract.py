"""Clauses of contracts, and findings about them."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from ..errors import DownloadError, did_you_mean, error_text
from ..plugin.component import Component, failing_line
from .sandbox import Elsewhere, put_right

State = Literal["passed", "failed", "not applicable", "not tried", "expected failure"]
S = TypeVar("S")
NOT_FETCHED = "a check fetches nothing: name a copy that is here by an option (--set)"
"""What a clause ends with that was not tried for want of a download."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence of a contract, and why it matters."""

    id: str
    sentence: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about one clause; `detail` says what happened, or why the clause was not judged."""

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
    applies: asked before those, raises NotApplicable where the clause would say nothing even if they held.
    offline: that it asks for what must need no download; of others one only says that they cannot be tried.
    """

    clause: Clause
    attempt: Callable[[S], None]
    after: tuple[str, ...] = ()
    applies: Callable[[S], object] | None = None
    offline: bool = False


class Broken(Exception):  # noqa: N818 - a verdict on what is checked, not an error of the check
    """A clause does not hold; the message says what was found."""


class NotApplicable(Exception):  # noqa: N818 - as above
    """A clause says nothing about this component; the message says why."""


class NotTried(NotApplicable):
    """A clause may well say something, but cannot be tried here; the message says why, and what would help."""


class ContractBroken(AssertionError):  # noqa: N818 - pytest shows assertion errors without their inner workings
    """Clauses of a contract do not hold; `findings` are those."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        clauses = "1 clause does not hold" if len(findings) == 1 else f"{len(findings)} clauses do not hold"
        super().__init__("\n".join([f"{clauses}:", *map(str, findings)]))


@dataclass(frozen=True, slots=True)
class Examination(Generic[S]):
    """The clauses of one contract, tried on one target, each when it is first asked about.

    expected: clauses that are known not to hold, each with the reason. owner: whose code an error came through, the
    component or the module. here: whether the current folder has to be the user's, since an option leads out of it.
    """

    subject: str
    checks: tuple[Check[S], ...]
    target: S
    expected: Mapping[str, str] = field(default_factory=dict)
    owner: object = None
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
        with self._place():
            reason = _inapplicable(check, self.target)
        if reason:
            return "not applicable", reason
        own = {known.clause.id for known in self.checks}
        for other in (known for known in check.after if known in own):
            if fault := self._fault(other):
                self._pointless[check.clause.id] = fault
                return "not tried", f"{fault} does not hold"
            if self.finding(other).state == "not tried":
                return "not tried", self.finding(other).detail
        with self._place():
            state, detail = _outcome(check, self.target, self.owner)
        reason = self.expected.get(check.clause.id, "")
        if not reason:
            return state, detail
        if state == "passed":
            return "failed", f"it is expected to fail ({reason}), and holds: expect it no more"
        return ("expected failure", f"{reason}; found: {detail}") if state == "failed" else (state, detail)

    def _place(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.here else self._elsewhere.entered()

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


def _inapplicable(check: Check[S], target: S) -> str:
    """Return why the clause says nothing about the target; nothing where it does, or where that cannot be told."""
    try:
        with put_right():
            if check.applies is not None:
                check.applies(target)
    except NotTried:
        return ""
    except NotApplicable as reason:
        return str(reason)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - what fails here fails in the clauses that it is after, and is said there
        return ""
    return ""


def _outcome(check: Check[S], target: S, owner: object) -> tuple[State, str]:
    try:
        with put_right():
            check.attempt(target)
    except NotTried as reason:
        return "not tried", str(reason)
    except NotApplicable as reason:
        return "not applicable", str(reason)
    except DownloadError as error:
        return ("failed", raised(error, owner)) if check.offline else ("not tried", f"{error}; {NOT_FETCHED}")
    except Broken as broken:
        return "failed", str(broken)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit included
        return "failed", raised(error, owner)
    return "passed", ""


def raised(error: BaseException, owner: object) -> str:
    """Return what was raised, and by which line of the owner's code, if any: "ValueError: no (shape.py:12)"."""
    return f"{error_text(error)}{failing_line(error, *_modules(owner)) or _last_line(error)}"


def _modules(owner: object) -> list[str]:
    """Return the names of the modules that define a component, or of a module."""
    if isinstance(owner, Component):
        parts = (owner.build, owner.restore, owner.check, owner.options, owner.traits)
        return [str(getattr(part, "__module__", "")) for part in parts if part is not None]
    return [str(getattr(owner, "__name__", ""))]


def _last_line(error: BaseException) -> str:
    """Return where a library raised the error, or "" where it was the call by the check."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames or str(frames[-1][0].f_globals.get("__name__")).startswith("textclf."):
        return ""
    return f" ({frames[-1][0].f_code.co_filename}:{frames[-1][1]})"


def line_of(function: object) -> str:
    """Return " (shape.py:12)", where a function begins, or ""."""
    code = getattr(function, "__code__", None)
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else ""
