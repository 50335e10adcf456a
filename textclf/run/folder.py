"""Run folders: created, locked, recorded, found and listed."""

from __future__ import annotations

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
from typing import Any

from filelock import FileLock, Timeout

from .. import __version__
from ..errors import ArtefactError, RecipeError, ResourceError, TextclfError, did_you_mean, listing
from ..evaluation.report import Estimate, Report, finite
from ..files import clear_parts, digest, disk_errors, read_json, write_file, write_text
from ..plugin.events import Event
from ..recipe.yaml12 import write

RECIPE, RECORD, EVENTS, MODEL = "recipe.yaml", "record.json", "events.jsonl", "model"
# 16 bytes for each distinct training text, in order: tells later which texts a classifier has seen.
TRAINED_ON, _KEY = "trained_on.bin", 16
CHECKPOINTS, WORK = "checkpoints", "work"
_LOCK, _HOLDER = ".lock", ".holder"
_PATIENCE = 0.5  # seconds, since who lists the runs looks at the lock for a moment
STUDY = "study"
# What decides a result beside the plugins themselves.
_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "pandas", "pydantic")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder. `record` is what is known of it so far; `update` writes it anew, whole."""

    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.record.get("name", self.path.parent.name))

    @property
    def model(self) -> Path:
        return self.path / MODEL

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINTS

    @property
    def work(self) -> Path:
        return self.path / WORK

    @property
    def state(self) -> str:
        return str(self.record.get("state", "unknown"))

    def update(self, **values: Any) -> None:
        self.record.update(values)
        write_text(self.path / RECORD, json.dumps(self.record, indent=1, ensure_ascii=False, default=str) + "\n")

    def observe(self, event: Event) -> None:
        """Append an event to the run's journal."""
        with disk_errors(self.path / EVENTS), (self.path / EVENTS).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(finite(event.to_json()), ensure_ascii=True, default=str) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """Return the journal's epochs, each objective's in order, those of the labels last."""
        events = self._events("EpochFinished")
        found = {(event.get("objective", ""), event["epoch"]): event for event in events}
        learned = list(dict.fromkeys(objective for objective, _ in found if objective))
        return [found[key] for name in (*learned, "") for key in sorted(found) if key[0] == name]

    def choices(self) -> dict[str, Any]:
        """Return what was chosen so far, also before an interruption."""
        return {event["what"]: event["choice"] for event in self._events("Chosen")}

    def warnings(self) -> list[str]:
        """Return what was warned of so far, each once, also before an interruption."""
        return list(dict.fromkeys(event["message"] for event in self._events("Warned")))

    def accounts(self) -> dict[str, Any]:
        """Return where the time of each stage went, also before an interruption."""
        named = ("event", "time", "stage")
        return {e["stage"]: {k: v for k, v in e.items() if k not in named} for e in self._events("Accounted")}

    def fixing(self) -> dict[str, Any]:
        """Return the options of the recipe that fix what was chosen so far, by their place in it."""
        return {place: value for event in self._events("Chosen") for place, value in event.get("options", {}).items()}

    def _events(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the journal's events of a kind; a line that a kill has cut is left out."""
        path = self.path / EVENTS
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("event") == kind:
                yield event

    def mend(self) -> None:
        """Clear away what a killed process left half-written; only for the process that holds the run."""
        clear_parts(self.path)
        events = self.path / EVENTS
        if events.exists() and not events.read_bytes().endswith(b"\n"):
            with disk_errors(events), events.open("ab") as journal:
                journal.write(b"\n")

    def keep_training_keys(self, keys: Iterable[bytes]) -> None:
        write_file(self.path / TRAINED_ON, lambda part: part.write_bytes(b"".join(sorted(keys))))

    def training_keys(self) -> frozenset[bytes]:
        """Return what the training texts count as the same by; nothing where the run did not keep them."""
        path = self.path / TRAINED_ON
        kept = path.read_bytes() if path.is_file() else b""
        return frozenset(kept[start : start + _KEY] for start in range(0, len(kept), _KEY))

    def tidy(self) -> None:
        """Clear away what is left of a finished run that was killed at its very end."""
        if self.checkpoints.exists() or (self.path / _HOLDER).exists():
            with suppress(TextclfError), self.locked():
                self.mend()
                self.clear_work()
                shutil.rmtree(self.checkpoints, ignore_errors=True)

    def clear_work(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run: a second process is told who holds it."""
        lock = FileLock(self.path / _LOCK, timeout=_PATIENCE)
        holder = self.path / _HOLDER
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
    folder = RunFolder(path, {"format": 1, "name": name, "id": identity, "state": "running"})
    write_text(path / RECIPE, write(recipe))
    folder.update(
        started=started.isoformat(timespec="milliseconds"), machine=machine(), versions=versions(),
        recipe_sha256=digest(path / RECIPE), **record,
    )  # fmt: skip
    return folder


def open_run(path: Path) -> RunFolder:
    record = read_json(path / RECORD)
    if not isinstance(record, dict) or not {"state", "started", "versions"} <= set(record):
        raise ArtefactError(f"{path / RECORD} is damaged: it is no record of a run; run the recipe anew")
    return RunFolder(path, record)


def look_at(path: Path) -> RunFolder:
    """As `open_run`, changing nothing: a run whose process is gone is interrupted, whatever its record still says."""
    run = open_run(path)
    if run.state != "running" or _is_held(path):
        return run
    run = open_run(path)  # it may have ended between the two looks
    return replace(run, record={**run.record, "state": "interrupted"}) if run.state == "running" else run


def _is_held(path: Path) -> bool:
    """Tell whether a process holds the run; True where that cannot be told. Several may ask at once."""
    try:
        import fcntl
    except ImportError:  # not every system has such locks
        return True
    try:
        with (path / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except OSError as error:
        return not isinstance(error, FileNotFoundError)


def machine() -> dict[str, Any]:
    return {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    """Return the versions of textclf and of those libraries that are installed, without importing them."""
    found = {"textclf": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


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


def find(runs: Path, reference: str | Path) -> Path:
    """Return the folder of the finished run that RUN means: a path, its model folder, NAME, NAME/ID, or `latest`."""
    candidates = _candidates(runs, reference)
    finished = [i for i in candidates if i.state == "finished" and i.kind != STUDY]
    if not finished:
        newest = candidates[0]
        if newest.kind == STUDY:
            raise _no_single_run(newest)
        found = f"{newest.folder} ({newest.state})"
        raise ArtefactError(f"'{reference}' has no finished run; the newest is {found}: {_way(newest)}")
    return finished[0].folder


def _way(info: RunInfo) -> str:
    """Say what to do about a run that is not finished."""
    if info.state == "running":
        return "wait for it"
    return "run the recipe anew" if info.state == "damaged" else f"`textclf resume {info.folder}`"


def _no_single_run(study: RunInfo) -> TextclfError:
    """Return what is to be said where a study is named in place of one of its runs."""
    members = open_run(study.folder).record.get("members", {}).values()
    folders = [study.folder.with_name(str(name)) for name in members]
    finished = [str(folder) for folder in folders if _info(folder).state == "finished"]
    if not finished:
        way = "run the recipe anew" if study.state == "finished" else _way(study)
        return ArtefactError(f"{study.folder} is a study, and none of its {len(folders)} runs is finished: {way}")
    return RecipeError(f"{study.folder} is a study, not a single run; name one of its runs: {listing(finished)}")


def find_whole(runs: Path, reference: str | Path) -> list[Path]:
    """Return the folders of the finished run, or of all runs of the finished study, that RUN means.

    NAME and `latest` mean the newest that is whole: the study, and not a run that is a part of it.
    """
    candidates = _candidates(runs, reference)
    whole = [i for i in candidates if i.state == "finished" and (not i.study or len(candidates) == 1)]
    if whole and whole[0].kind == STUDY:
        study = open_run(whole[0].folder)
        return [study.path.with_name(str(name)) for name in study.record.get("members", {}).values()]
    begun = next((i for i in candidates if i.kind == STUDY), None)
    if not whole and begun:
        raise ArtefactError(f"{begun.folder} is a study that is {begun.state}: {_way(begun)}")
    return [whole[0].folder if whole else find(runs, reference)]


def locate(runs: Path, reference: str | Path) -> Path:
    """Return the run folder that RUN means, in whatever state: the newest one of a name that is not finished first."""
    candidates = _candidates(runs, reference)
    whole = [i for i in candidates if i.state not in ("finished", "damaged") and not i.study]
    unfinished = whole or [i for i in candidates if i.state not in ("finished", "damaged")]
    return (unfinished or candidates)[0].folder


def _candidates(runs: Path, reference: str | Path) -> list[RunInfo]:
    """Return the runs that a reference can mean, the newest first; there is at least one."""
    text = str(reference).rstrip("/") or "/"
    for path in (Path(text), runs / text):
        if (path / RECORD).is_file():
            return [_info(path)]
        if path.name == MODEL and (path.parent / RECORD).is_file():
            return [_info(path.parent)]
    everything = infos(runs)
    # The folder of all runs of a name, as a shell completes it, means the name.
    candidates = [i for i in everything if text in ("latest", i.name) or Path(text) == i.folder.parent]
    if not candidates:
        if any((place / "model").is_dir() or (place / RECIPE).is_file() for place in (Path(text), runs / text)):
            raise ArtefactError(f"'{text}' is a run without its {RECORD}: it is damaged; run the recipe anew")
        known = sorted({info.name for info in everything})
        listed = f" (runs here: {', '.join(known)})" if known else f" (there are no runs in '{runs}')"
        raise RecipeError(f"no run is called '{text}'{did_you_mean(text, known)}{listed}")
    return candidates


def infos(runs: Path) -> list[RunInfo]:
    """List all runs, the newest first; a folder that cannot be read is listed as damaged."""
    found = [_info(record.parent) for record in runs.glob(f"*/*/{RECORD}")]
    return sorted(found, key=lambda info: (info.started, info.id), reverse=True)


def _info(path: Path) -> RunInfo:
    try:
        values = look_at(path).record
        headline: dict[str, Estimate] = {}
        if values["state"] == "finished" and values.get("kind") != STUDY:
            headline = dict(Report.load(path).metrics)
        return RunInfo(
            path.parent.name, path.name, path, str(values["state"]), str(values["started"]), headline,
            str(values.get("source", "")), str(values.get("kind", "run")), str(values.get("study", "")),
        )  # fmt: skip
    except (TextclfError, KeyError):
        return RunInfo(path.parent.name, path.name, path, "damaged", "")
