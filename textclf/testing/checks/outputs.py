"""Owns the clauses of outputs."""

from __future__ import annotations

from ..clauses import Broken, Check, Clause, NotApplicable
from .subject import Subject


def _writes_into_its_folder(subject: Subject) -> None:
    if subject.stand_ins.finished is None:
        raise NotApplicable("give a finished run to write of: StandIns(finished=...)")
    folder = subject.folder()
    inside = folder / "run"
    inside.mkdir()
    subject.build().write(subject.stand_ins.finished, inside)
    if not any(inside.iterdir()):
        raise Broken("it writes nothing into the folder it is given")
    beside = [path.name for path in folder.iterdir() if path != inside]
    if beside:
        raise Broken(f"it writes outside of the folder it is given: {', '.join(beside)}")


OUTPUT: tuple[Check[Subject], ...] = (
    Check(
        Clause("output.folder", "it writes into the folder it is given, and only there", "a run folder is whole"),
        _writes_into_its_folder,
    ),
)
