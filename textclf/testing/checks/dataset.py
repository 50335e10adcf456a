"""The clauses of dataset providers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...data.cleaning import texts_digest
from ...data.dataset import Dataset, Split, check_dataset, check_ids, check_labels, check_pairs, check_texts
from ...errors import TextclfError, counted, error_text, type_name
from ..contract import Broken, Check, Clause, NotApplicable, line_of
from .subject import Subject, read_options


def _dataset(subject: Subject) -> Dataset:
    if "loaded" not in subject.memory:
        provider = subject.build()
        subject.memory["loaded"] = provider.load(subject.context())
        subject.memory["load"] = line_of(provider.load)
    dataset = subject.memory["loaded"]
    if not isinstance(dataset, Dataset):
        raise Broken(f"load returned {type_name(dataset)}, not a textclf.Dataset{subject.memory['load']}")
    return dataset


def _demand(subject: Subject, reason: str | None) -> None:
    """Break with what the run would refuse the dataset for."""
    if reason:
        raise Broken(f"{reason}{subject.memory['load']}")


def _has_texts(subject: Subject) -> None:
    dataset = _dataset(subject)
    _demand(subject, check_texts(dataset))
    if len(dataset.train) == 0:
        raise Broken("its train split is empty")


def _labels_are_in_range(subject: Subject) -> None:
    _demand(subject, check_labels(_dataset(subject)))


def _ids_are_strings(subject: Subject) -> None:
    _demand(subject, check_ids(_dataset(subject)))


def _keeps_its_traits(subject: Subject) -> None:
    dataset, traits = _dataset(subject), subject.traits
    if dataset.labels.task not in traits.tasks:
        raise Broken(f"its labels are {dataset.labels.task}, its traits say {', '.join(sorted(traits.tasks))}")
    if reason := check_pairs(dataset, traits.pairs):
        raise Broken(f"its {reason}{subject.memory['load']}")


def _loads_the_same_again(subject: Subject) -> None:
    one, other = _dataset(subject), subject.build().load(subject.context(seed=1))
    if one.labels != other.labels:
        raise Broken(f"loaded twice, its labels are {one.labels} and {other.labels}")
    if list(one.splits()) != list(other.splits()):
        raise Broken(f"loaded twice, its splits are {list(one.splits())} and {list(other.splits())}")
    for name, split in one.splits().items():
        if _content(split) != _content(other.splits()[name]):
            raise Broken(f"loaded with another seed, its split {name} differs")


def _splits_are_apart(subject: Subject) -> None:
    dataset = _dataset(subject)
    given = {name: split for name, split in dataset.splits().items() if name != "train"}
    if not given:
        raise NotApplicable("it gives no validation or test split of its own")
    known = set(_rows(dataset.train))
    for name, split in given.items():
        shared = sum(row in known for row in _rows(split))
        if shared:
            raise Broken(f"{counted(shared, 'text')} of {name} stand in an earlier split too")
        known |= set(_rows(split))


def _rows(split: Split) -> list[tuple[str, str]]:
    return list(zip(split.texts.first, split.texts.second or [""] * len(split), strict=True))


def _survives_its_files(subject: Subject) -> None:
    given = subject.options.model_dump(by_alias=True)
    files = [name for name, value in given.items() if _is(Path.is_file, value)]
    # A word may be called like a folder that happens to be there; a path is meant to be one.
    folders = [name for name, value in given.items() if isinstance(value, Path) and _is(Path.is_dir, value)]
    if not files and not folders:
        raise NotApplicable("it is given no file and no folder")
    for name in files:
        original = Path(given[name])
        for what, content in _WRONG_FILES.items():
            path = subject.folder() / original.name
            path.write_bytes(content)
            _load_wrong_file(subject, {**subject.values, name: str(path)}, what)
    for name in folders:
        _survives_files_in(subject, name, Path(given[name]))


def _survives_files_in(subject: Subject, name: str, original: Path) -> None:
    """Load a copy of the folder, once for each wrong file, with that file beside the first one that is there."""
    inside = sorted(path.relative_to(original) for path in islice(original.rglob("*"), _MOST) if path.is_file())
    size = sum((original / path).stat().st_size for path in inside)
    if not inside or len(inside) == _MOST or size > _LARGEST:
        raise NotApplicable("its folder is empty, or too large to be copied and tried with other files")
    for what, content in _WRONG_FILES.items():
        copy = subject.folder() / original.name
        shutil.copytree(original, copy)
        first = copy / inside[0]
        first.with_name(f"{first.stem}-other{first.suffix}").write_bytes(content)
        _load_wrong_file(subject, {**subject.values, name: str(copy)}, f"{what} in '{original.name}'")


def _is(kind: Callable[[Path], bool], value: object) -> bool:
    return isinstance(value, (str, Path)) and 0 < len(str(value)) < 4096 and kind(Path(value))


_MOST, _LARGEST = 1000, 4 * 2**20  # files of a folder, and bytes, that are copied
_WRONG_FILES = {
    "an empty file": b"",
    "a file of line ends": b"\n\r\n\n",
    "a file of zero bytes": b"\x00" * 4096,
    "a file of bytes that are no text": bytes(range(128, 256)) * 64,
    "a page of HTML": b"<!DOCTYPE html><html><body>sign in</body></html>",
}


def _load_wrong_file(subject: Subject, values: dict[str, Any], what: str) -> None:
    """Demand that a wrong file is refused with an error that users can read, or read as a sound dataset."""
    try:
        options = read_options(subject.component, values)
        if subject.component.check is not None and any(p.exit_code for p in subject.component.check(options)):
            return
        dataset = subject.component.build(options).load(subject.context())
    except (TextclfError, ValidationError):
        return
    except Exception as error:  # noqa: BLE001 - whatever else is raised would be a traceback for the user
        raise Broken(f"{what} raises {error_text(error)}; raise a DataError") from None
    reason = check_dataset(dataset) if isinstance(dataset, Dataset) else f"result is a {type(dataset).__name__}"
    if reason:
        raise Broken(f"{what} is taken, and the dataset's {reason}")


def _content(split: Split) -> tuple[Any, ...]:
    groups = None if split.groups is None else list(split.groups)
    return texts_digest(split.texts), split.labels.tolist(), list(split.ids), groups


DATASET: tuple[Check[Subject], ...] = (
    Check(
        Clause("dataset.texts", "there are texts to train on, and every text is a str", "encoders read nothing else"),
        _has_texts,
    ),
    Check(
        Clause("dataset.labels", "labels are integers[n] below their number, or bool[n, labels]", "they are columns"),
        _labels_are_in_range,
        after=("dataset.texts",),
    ),
    Check(
        Clause("dataset.ids", "ids and groups are str", "reports write them, splits keep groups together"),
        _ids_are_strings,
        after=("dataset.texts",),
    ),
    Check(
        Clause("dataset.traits", "task and pairs are as the traits say", "the plan has promised it to the other steps"),
        _keeps_its_traits,
        after=("dataset.texts", "dataset.labels"),
    ),
    Check(
        Clause("dataset.stable", "loaded twice, it is the same, whatever the seed", "the seed is of training only"),
        _loads_the_same_again,
        after=("dataset.texts", "dataset.labels", "dataset.ids"),
    ),
    Check(
        Clause("dataset.apart", "no text stands in two of its splits", "who has seen a test text knows its label"),
        _splits_are_apart,
        after=("dataset.texts",),
    ),
    Check(
        Clause("dataset.files", "empty and hostile files are refused as the user's, or read", "users have such files"),
        _survives_its_files,
        after=("dataset.texts", "dataset.labels", "dataset.ids"),
    ),
)
