"""Owns run folders: creating, locking and recording them."""

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

from ..errors import ArtefactError, ResourceError, TextclfError
from ..evaluation.report import finite
from ..files import clear_parts, digest, disk_errors, read_json, write_file, write_text
from ..plugin.events import Event
from ..recipe.yaml12 import write
from ..version import VERSION

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
    found = {"textclf": VERSION}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
