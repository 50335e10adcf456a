"""Owns how runs are found and listed: what RUN means, everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ArtefactError, RecipeError, TextclfError, did_you_mean, listing
from ..evaluation.report import Estimate, Report
from .folder import MODEL, RECIPE, RECORD, STUDY, look_at, open_run


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
