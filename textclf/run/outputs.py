"""The outputs of a run: each writes into an empty folder of its own, from which its files go into the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import TextclfError, error_text
from ..evaluation.report import FILE, SUMMARY_FILE
from ..files import disk_errors
from ..plugin.protocols import Finished, Output
from ..plugin.step import Step
from .folder import CHECKPOINTS, EVENTS, MODEL, RECIPE, RECORD, TRAINED_ON, WORK, RunFolder
from .predictions_file import PREDICTIONS, SCORES
from .resume import PLUGINS

# All names that a run folder may hold; a summary would make a run look like a study.
RESERVED = (
    CHECKPOINTS, EVENTS, FILE, MODEL, PLUGINS, PREDICTIONS, RECIPE, RECORD, SCORES, SUMMARY_FILE, TRAINED_ON, WORK,
)  # fmt: skip


def is_reserved(name: str) -> bool:
    """Tell whether the first part of a path in a run folder is textclf's own, on disks that ignore case too."""
    return name.casefold() in RESERVED


def write_outputs(
    outputs: Iterable[tuple[Step[Output], Output]], finished: Finished, run: RunFolder, warn: Callable[[str], None]
) -> None:
    """Let each output write, and move its files into the run folder.

    An output that fails is a warning, and leaves nothing: the run has its result. A file is dropped with a warning
    where its name is textclf's own, or that of a file of an earlier output.
    """
    owners: dict[str, Step[Output]] = {}
    for number, (step, output) in enumerate(outputs):
        own = run.work / "outputs" / str(number)
        try:
            own.mkdir(parents=True)
            output.write(finished, own)
            dropped = _move(own, run.path, step, owners)
        except KeyboardInterrupt:
            raise
        except TextclfError as error:
            warn(f"{step}: write fails, the run goes on: {error}")
        except BaseException as error:  # noqa: BLE001 - whatever an output raises must not cost the run
            hint = step.plugin.hint(step.name)
            warn(f"{step}: write fails, the run goes on: {error_text(error)}{step.place(error)}{hint}")
        else:
            for message in dropped:
                warn(f"{step}: {message}{step.plugin.hint(step.name)}")


def _move(own: Path, to: Path, step: Step[Output], owners: dict[str, Step[Output]]) -> list[str]:
    """Move all that a folder holds into the run folder, and return in words what is dropped.

    owners: by name, the output of this run that wrote each file; what an earlier try left is replaced.
    """
    dropped: dict[str, None] = {}
    for path in sorted(own.rglob("*")):
        name = path.relative_to(own).as_posix()
        top = name.partition("/")[0]
        if is_reserved(top):
            dropped[f"'{top}' is a name of textclf's own, and what was written there is dropped; choose another"] = None
        elif path.is_dir() and not path.is_symlink():
            (to / name).mkdir(exist_ok=True)
        elif name in owners:
            dropped[f"'{name}' was written by {owners[name]} before, and is dropped; choose another name"] = None
        else:
            with disk_errors(to / name):
                path.replace(to / name)
            owners[name] = step
    return list(dropped)
