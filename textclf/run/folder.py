"""Run folders: created, locked, recorded, found and listed.

`record.json` is written when a run begins and when it ends, finished or not. In between, the journal `events.jsonl`
grows; a run that is killed is resumed from that.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeAlias

from filelock import FileLock, Timeout

from .. import __version__
from ..errors import ArtefactError, RecipeError, ResourceError, TextclfError, did_you_mean, listing
from ..evaluation.report import FILE, Estimate, Report
from ..files import clear_parts, digest, disk_errors, read_json, write_file, write_text
from ..recipe.yaml12 import write

RECIPE, RECORD, EVENTS, MODEL = "recipe.yaml", "record.json", "events.jsonl", "model"
# 16 bytes for each distinct training text, in order: which texts a classifier has seen.
TRAINED_ON, _KEY = "trained_on.bin", 16
CHECKPOINTS, WORK = "checkpoints", "work"
STUDY = "study"
_LOCK, _HOLDER = ".lock", ".holder"
_PATIENCE = 0.5  # seconds, since a process that lists the runs holds the lock for a moment
# What decides a result beside the plugins themselves.
_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "pandas", "pydantic")

Wanted: TypeAlias = Literal["finished", "study", "any"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder. `record` is the content of its record.json, which `update` writes."""

    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.record.get("name", self.path.parent.name))

    @property
    def state(self) -> str:
        return str(self.record.get("state", "unknown"))

    @property
    def is_study(self) -> bool:
        return self.record.get("kind") == STUDY

    @property
    def study(self) -> str:
        """Return the id of the study that the run belongs to, or an empty string."""
        return str(self.record.get("study", ""))

    @property
    def model(self) -> Path:
        return self.path / MODEL

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINTS

    @property
    def work(self) -> Path:
        return self.path / WORK

    def members(self) -> list[Path]:
        """Return the folders of a study's runs, which lie beside its own; of a single run, that folder."""
        if not self.is_study:
            return [self.path]
        return [self.path.with_name(str(name)) for name in self.record.get("members", {}).values()]

    def update(self, **values: Any) -> None:
        """Change the record, and write it whole."""
        self.record.update(values)
        write_text(self.path / RECORD, json.dumps(self.record, indent=1, ensure_ascii=False, default=str) + "\n")

    def replace_recipe(self, recipe: Mapping[str, Any]) -> None:
        """Write another recipe; the record names both before, so that a run that is killed in between can resume."""
        text = write(recipe)
        self.update(recipe_sha256=_digest(text), recipe_asked_sha256=digest(self.path / RECIPE))
        write_text(self.path / RECIPE, text)

    def write_training_keys(self, keys: Iterable[bytes]) -> None:
        write_file(self.path / TRAINED_ON, lambda part: part.write_bytes(b"".join(sorted(keys))))

    def training_keys(self) -> frozenset[bytes]:
        """Return what the training texts count as the same by; empty where the run did not write them."""
        path = self.path / TRAINED_ON
        keys = path.read_bytes() if path.is_file() else b""
        return frozenset(keys[start : start + _KEY] for start in range(0, len(keys), _KEY))

    def clear_work(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what is left of a finished run that was killed at its very end."""
        if self.checkpoints.exists() or (self.path / _HOLDER).exists():
            with suppress(TextclfError), self.locked():
                clear_parts(self.path)
                self.clear_work()
                shutil.rmtree(self.checkpoints, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; where another process does, raise a ResourceError that names it."""
        # A plugin may change the current folder while the run is held.
        lock = FileLock((self.path / _LOCK).absolute(), timeout=_PATIENCE)
        holder = (self.path / _HOLDER).absolute()
        with disk_errors(self.path):
            try:
                lock.acquire()
            except Timeout:
                who = "another process"
                with suppress(OSError):
                    who = holder.read_text(encoding="utf-8") or who
                raise ResourceError(f"{self.path} is held by {who}; wait for it, or stop it first") from None
        try:
            with disk_errors(holder):
                holder.write_text(f"process {os.getpid()} on {platform.node() or 'this machine'}", encoding="utf-8")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def create(runs: Path, name: str, recipe: Mapping[str, Any], *, suffix: str = "", **record: Any) -> RunFolder:
    """Make a new run folder `runs/NAME/DATE-TIME-XXXX` with its resolved recipe and a record in state "running"."""
    started = datetime.now(UTC)
    identity = f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}{suffix}"
    path = runs / name / identity
    with disk_errors(path):
        path.mkdir(parents=True)
    folder = RunFolder(path, {"format": 1, "name": name, "id": identity, "state": "running", "error": None})
    started_at = started.isoformat(timespec="milliseconds")
    text = write(recipe)
    write_text(path / RECIPE, text)
    folder.update(
        started=started_at, machine=machine(), versions=versions(), recipe_sha256=_digest(text), **record
    )  # fmt: skip
    return folder


def _digest(text: str) -> str:
    """Return the sha256 of a text as `write_text` writes it."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def open_run(path: Path) -> RunFolder:
    record = read_json(path / RECORD)
    if not isinstance(record, dict) or not {"state", "started", "versions"} <= set(record):
        raise ArtefactError(f"{path / RECORD} is damaged: it is no record of a run; run the recipe again")
    return RunFolder(path, record)


def look_at(path: Path) -> RunFolder:
    """Open a run in whatever state it is, changing nothing.

    A run whose process is gone is interrupted, whatever its record still says; one that cannot be read is damaged.
    """
    try:
        run = open_run(path)
        if run.state == "running" and not _is_held(path):
            run = open_run(path)  # it may have ended since it was opened
            return replace(run, record={**run.record, "state": "interrupted"}) if run.state == "running" else run
    except TextclfError:
        return RunFolder(path, {"name": path.parent.name, "state": "damaged", "started": ""})
    lost = run.state == "finished" and not run.is_study and not (path / FILE).is_file()
    return replace(run, record={**run.record, "state": "damaged"}) if lost else run


def _is_held(path: Path) -> bool:
    """Tell whether a process holds the run; True where that cannot be known."""
    lock = path / _LOCK
    if not lock.exists():
        return False
    try:
        import fcntl
    except ImportError:  # Windows
        try:
            with FileLock(lock, timeout=0):
                return False
        except (Timeout, OSError):
            return True
    # A FileLock is exclusive and touches the file; by a shared lock, several processes may look at once.
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except OSError:
        return True


def machine() -> dict[str, Any]:
    return {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    """Return the versions of textclf and of those libraries that are installed, without importing them."""
    found = {"textclf": __version__}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def find(runs: Path, reference: str | Path, wanted: Wanted = "finished") -> RunFolder:
    """Return the run that a reference means: a path, its model folder, NAME, NAME/ID, or `latest`.

    Of several, the newest that is wanted. "finished": a single run that is finished. "study": the same, but a finished
    study in place of its runs. "any": in whatever state, one that can be resumed first.
    """
    candidates = _candidates(runs, reference)
    newest = candidates[0]
    if wanted == "any":
        unfinished = [run for run in candidates if run.state not in ("finished", "damaged")]
        return [*(run for run in unfinished if not run.study), *unfinished, newest][0]
    finished = [run for run in candidates if run.state == "finished"]
    if wanted == "study":
        whole = [run for run in finished if not run.study or len(candidates) == 1]
        studies = [run for run in candidates if run.is_study]
        if whole:
            return whole[0]
        if studies:
            raise ArtefactError(f"{studies[0].path} is a study that is {studies[0].state}: {_hint(studies[0])}")
    single = [run for run in finished if not run.is_study]
    if not single and newest.is_study:
        raise _not_single(newest)
    if not single:
        found = f"{newest.path} ({newest.state}): {_hint(newest)}"
        raise ArtefactError(f"'{reference}' has no finished run; the newest is {found}")
    return single[0]


def _hint(run: RunFolder) -> str:
    """Say what to do about a run that is not finished."""
    if run.state == "running":
        return "wait for it"
    return "run the recipe again" if run.state == "damaged" else f"`textclf resume {run.path}`"


def _not_single(study: RunFolder) -> TextclfError:
    """Return the error where a study is named in place of one of its runs."""
    members = study.members()
    finished = [str(member) for member in members if look_at(member).state == "finished"]
    if not finished:
        hint = "run the recipe again" if study.state == "finished" else _hint(study)
        return ArtefactError(f"{study.path} is a study, and none of its {len(members)} runs is finished: {hint}")
    return RecipeError(f"{study.path} is a study, not a single run; name one of its runs: {listing(finished)}")


def _candidates(runs: Path, reference: str | Path) -> list[RunFolder]:
    """Return the runs that a reference can mean, the newest first; there is at least one."""
    text = str(reference).rstrip("/") or "/"
    for path in (Path(text), runs / text):
        if (path / RECORD).is_file():
            return [look_at(path)]
        if path.name == MODEL and (path.parent / RECORD).is_file():
            return [look_at(path.parent)]
    folders = _folders(runs)
    # The folder of all runs of a name, as a shell completes it, means the name.
    named = [path for path in folders if text in ("latest", path.parent.name) or Path(text) == path.parent]
    if not named:
        if any((place / MODEL).is_dir() or (place / RECIPE).is_file() for place in (Path(text), runs / text)):
            raise ArtefactError(f"'{text}' is a run without its {RECORD}: it is damaged; run the recipe again")
        known = sorted({path.parent.name for path in folders})
        listed = f" (runs here: {', '.join(known)})" if known else f" (there are no runs in '{runs}')"
        raise RecipeError(f"no run is called '{text}'{did_you_mean(text, known)}{listed}")
    return _newest_first(map(look_at, named))


def _folders(runs: Path) -> list[Path]:
    return [record.parent for record in runs.glob(f"*/*/{RECORD}")]


def _newest_first(found: Iterable[RunFolder]) -> list[RunFolder]:
    return sorted(found, key=lambda run: (str(run.record["started"]), run.path.name), reverse=True)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A line of the list of runs.

    state: running, interrupted, failed, finished or damaged. kind: "run" or "study". study: the id of the study a run
    belongs to.
    """

    name: str
    id: str
    folder: Path
    state: str
    started: str
    headline: Mapping[str, Estimate] = field(default_factory=dict)
    source: str = ""
    kind: str = "run"
    study: str = ""


def list_runs(runs: Path) -> list[RunInfo]:
    """List all runs, the newest first; a folder that cannot be read is listed as damaged."""
    return [_info(run) for run in _newest_first(map(look_at, _folders(runs)))]


def _info(run: RunFolder) -> RunInfo:
    state, headline = run.state, dict[str, Estimate]()
    if state == "finished" and not run.is_study:
        try:
            headline = dict(Report.load(run.path).metrics)
        except TextclfError:
            state = "damaged"
    about = {name: str(run.record[name]) for name in ("source", "kind", "study") if name in run.record}
    return RunInfo(run.path.parent.name, run.path.name, run.path, state, str(run.record["started"]), headline, **about)
