"""A recipe's `split` applied to a dataset: the rows to train, validate and test on, and texts without labels.

Equal texts, and rows of one group, are one unit (`data.splits`). A unit is never divided, so that nothing leaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import repeat
from typing import TYPE_CHECKING, Any

from ..data.cleaning import normal_key
from ..data.dataset import Dataset, Labels, Split, Texts
from ..data.splits import Units, deal, draw, find_units, ranks, shared_rows, strata, text_keys
from ..errors import DataError, RecipeError
from ..recipe.settings import SplitSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Warn = Callable[[str], None]
_TEST, _VALIDATION = 0.2, 0.1


@dataclass(frozen=True, slots=True)
class DataSplits:
    """The splits of one run.

    unlabelled: texts without labels, none of which is a validation or test text. train_keys: the keys by which training
    texts count as equal. notes: what the report says of the splits, such as leaks.
    """

    labels: Labels
    train: Split
    validation: Split | None
    test: Split
    unlabelled: Texts | None = None
    train_keys: frozenset[bytes] = frozenset()
    notes: dict[str, Any] = field(default_factory=dict)

    def splits(self) -> dict[str, Split]:
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    def evaluated(self) -> list[Split]:
        """Return the splits that the run is evaluated on: nothing may be learned from them."""
        return [split for name, split in self.splits().items() if name != "train"]


@dataclass(frozen=True, slots=True)
class Leak:
    """Rows of one split whose texts, or groups, are in another split, too."""

    one: str
    other: str
    rows: int
    texts: int
    groups: int

    def __str__(self) -> str:
        where = f"the {'training' if self.one == 'train' else self.one} data"
        if not self.texts:
            return f"{self.groups} of {self.rows} {self.other} texts belong to groups that also stand in {where}"
        of_groups = f", and {self.groups} belong to groups that do" if self.groups else ""
        return f"{self.texts} of {self.rows} {self.other} texts also stand in {where}{of_groups}"


def split(
    dataset: Dataset,
    settings: SplitSettings,
    *,
    validate: bool,
    unlabelled: bool = False,
    fold: int | None = None,
    warn: Warn,
) -> DataSplits:
    """Draw the splits that the dataset does not bring.

    validate, unlabelled: whether a component reads a validation split, or the texts without labels.
    """
    _refuse_own_splits(dataset, settings)
    if dataset.labels.task == "multi-label" and len(dataset.train) and not dataset.train.labels.any():
        raise DataError("a classifier needs texts with labels; none of the data's has one")
    dataset = _empty_texts(dataset, settings.empty, warn)
    dataset = _limit(dataset, settings)
    _check_labels(dataset.labels, dataset.train, warn)
    whole = dataset.train
    units = find_units(whole, by_group=settings.group)
    if units.contradicted:
        texts = "1 text carries" if units.contradicted == 1 else f"{units.contradicted} texts carry"
        warn(f"{texts} another label than an equal text: no classifier can get all of them right")
    rows = _draw(dataset, settings, units, validate, fold)
    notes: dict[str, Any] = {"texts": len(whole), "units": len(units), "repeated_texts": units.repeated}
    if whole.groups is not None and settings.group:
        notes["groups"] = len(set(whole.groups))
    validation = whole.take(rows["validation"]) if "validation" in rows else dataset.validation
    splits = DataSplits(
        dataset.labels, whole.take(rows["train"]), validation if validate else None,
        whole.take(rows["test"]) if dataset.test is None else dataset.test,
        train_keys=frozenset(units.row_keys[row] for row in rows["train"]), notes=notes,
    )  # fmt: skip
    if settings.labelled:
        _warn_of_labelled(settings.labelled, len(splits.train), warn)
    if unlabelled:
        drawn = whole.texts.take(rows.get("unlabelled", ()))
        found = _without_labels(dataset.unlabelled, drawn, splits.evaluated(), settings, warn)
        splits.notes["unlabelled"] = 0 if found is None else len(found)
        splits = replace(splits, unlabelled=found)
    _check_leaks(splits, dataset, settings, warn)
    _warn_of_absent_labels(splits, warn)
    return splits


def _warn_of_labelled(wanted: int, labelled: int, warn: Warn) -> None:
    """Warn where other than the wanted number of training texts have their label."""
    if labelled < wanted:
        warn(f"split.labelled is {wanted}, but there are {labelled} training texts: all keep their label")
    elif labelled > wanted:
        warn(f"split.labelled is {wanted}, but {labelled} training texts keep their label: one at least of each")


def _refuse_own_splits(dataset: Dataset, settings: SplitSettings) -> None:
    for name in ("test", "validation"):
        if getattr(dataset, name) is not None and getattr(settings, name):
            raise RecipeError(
                f"split.{name}: the dataset brings its own {name} split; remove split.{name} from the recipe"
            )
    if settings.folds and dataset.test is not None:
        raise RecipeError("split.folds: the dataset brings its own test split; remove split.folds from the recipe")


def _draw(
    dataset: Dataset, settings: SplitSettings, units: Units, validate: bool, fold: int | None
) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split that is drawn from the training data, by its name."""
    import numpy as np

    size = len(dataset.train)
    stratum = strata(dataset.train, dataset.labels, units)
    free = np.ones(len(units), np.bool_)
    rows = {}
    if dataset.test is None:
        if fold is not None and settings.folds:
            chosen = deal(units, stratum, settings.folds, settings.seed) == fold
        else:
            fraction = _TEST if settings.test is None else settings.test
            chosen = draw(units, stratum, free, round(fraction * size), settings.seed, "test")
        free &= ~chosen
        rows["test"] = _rows(units, chosen, "test")
    if dataset.validation is None and validate:
        fraction = _VALIDATION if settings.validation is None else settings.validation
        chosen = draw(units, stratum, free, round(fraction * size), settings.seed, "validation")
        free &= ~chosen
        rows["validation"] = _rows(units, chosen, "validation")
    if settings.labelled:
        # Those that lose their label are drawn, not those that keep it: a draw never takes all texts of a label, so
        # that each label keeps at least one text to learn it from.
        training = int(free[units.of_row].sum())
        chosen = draw(units, stratum, free, max(0, training - settings.labelled), settings.seed, "labelled")
        rows["unlabelled"] = np.flatnonzero(chosen[units.of_row])
        free &= ~chosen
    return {**rows, "train": _rows(units, free, "train")}


def _rows(units: Units, chosen: NDArray[np.bool_], name: str) -> NDArray[np.int64]:
    import numpy as np

    rows: NDArray[np.int64] = np.flatnonzero(chosen[units.of_row])
    if len(rows) == 0:
        texts = len(units.of_row)
        together = ""
        if len(units) < texts:
            count = "1 unit" if len(units) == 1 else f"{len(units)} units"
            together = f", and equal texts and groups make them {count} that must stay together"
        raise DataError(
            f"the {name} split would be empty: there are {texts} texts{together}; give more data or other fractions"
        )
    return rows


def _empty_texts(dataset: Dataset, rule: str, warn: Warn) -> Dataset:
    import numpy as np

    changed: dict[str, Split] = {}
    for name, split in dataset.splits().items():
        empty = np.array([not text.strip() for text in split.texts.first], np.bool_)
        if split.texts.second is not None:
            empty &= np.array([not text.strip() for text in split.texts.second], np.bool_)
        if not empty.any():
            continue
        ids = ", ".join(split.ids[row] for row in np.flatnonzero(empty)[:5])
        message = f"{int(empty.sum())} of {len(split)} texts of the {name} data are empty (id {ids})"
        if rule == "refuse":
            raise DataError(f"{message}; correct them, or set `split.empty: keep` or `drop`")
        if rule == "drop" and empty.all():
            raise DataError(f"{message}, and `split.empty: drop` leaves none; correct them, or omit the {name} data")
        warn(f"{message}; {'left out' if rule == 'drop' else 'kept; `split.empty: drop` leaves them out'}")
        if rule == "drop":
            changed[name] = split.take(np.flatnonzero(~empty))
    return replace(dataset, **changed) if changed else dataset  # type: ignore[arg-type]


def _limit(dataset: Dataset, settings: SplitSettings) -> Dataset:
    """Take at most `split.limit` texts in all, from each split in proportion and stratified."""
    import numpy as np

    splits = dataset.splits()
    total = sum(len(split) for split in splits.values())
    if not settings.limit or settings.limit >= total:
        return dataset
    smaller: dict[str, Split] = {}
    for name, split in splits.items():
        units = find_units(split, by_group=settings.group)
        rows = max(1, settings.limit * len(split) // total)
        every = np.ones(len(units), np.bool_)
        chosen = draw(units, strata(split, dataset.labels, units), every, rows, settings.seed, "limit")
        if not chosen.any():  # of few texts, since a draw never takes all of a label
            chosen[ranks(units, settings.seed, "limit")[0]] = True
        smaller[name] = split.take(np.flatnonzero(chosen[units.of_row]))
    return replace(dataset, **smaller)  # type: ignore[arg-type]


def _check_labels(labels: Labels, train: Split, warn: Warn) -> None:
    counts = _label_counts(train, labels)
    if len(train) == 0:
        raise DataError("there are no texts to train on")
    if labels.task == "single-label" and (counts > 0).sum() < 2:
        only = ", ".join(f"'{name}'" for name, n in zip(labels.names, counts, strict=True) if n) or "none"
        raise DataError(f"a classifier needs texts of at least two labels; the data has only {only}")
    for name, count in zip(labels.names, counts, strict=True):
        if count == 1:
            warn(f"label '{name}' has one text, which goes to training: nothing can be measured for it")


def _warn_of_absent_labels(splits: DataSplits, warn: Warn) -> None:
    trained = _label_counts(splits.train, splits.labels)
    tested = _label_counts(splits.test, splits.labels)
    for name, in_train, in_test in zip(splits.labels.names, trained, tested, strict=True):
        if in_test and not in_train:
            warn(f"label '{name}' is in the test split only ({in_test} texts): it cannot be learned")


def _check_leaks(splits: DataSplits, dataset: Dataset, settings: SplitSettings, warn: Warn) -> None:
    """Count texts and groups in two splits; only splits that the dataset brings can share any."""
    named = splits.splits()
    brought = dataset.splits()
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        if one in named and other in named and ({one, other} - {"train"}) & set(brought):
            texts, groups = shared_rows(named[one], named[other])
            leak = Leak(one, other, len(named[other]), texts, groups if settings.group else 0)
            _note_leak(leak, splits, settings, warn)


def _note_leak(leak: Leak, splits: DataSplits, settings: SplitSettings, warn: Warn) -> None:
    if not leak.texts and not leak.groups:
        return
    key = f"leaks_{leak.other}" if leak.one == "train" else f"leaks_{leak.one}_{leak.other}"
    splits.notes[key] = {"texts": leak.texts, "groups": leak.groups}
    if settings.leaks == "refuse":
        raise DataError(f"{leak}; take them out, or set `split.leaks: warn`")
    warn(f"{leak}: the score is too good by that; `split.leaks: refuse` stops here")


def _label_counts(split: Split, labels: Labels) -> NDArray[np.int64]:
    import numpy as np

    if labels.task == "multi-label":
        counts: NDArray[np.int64] = split.labels.sum(axis=0).astype(np.int64)
    else:
        counts = np.bincount(split.labels, minlength=len(labels)).astype(np.int64)
    return counts


def _without_labels(
    brought: Texts | None,
    unlabelled: Texts,
    evaluated: Sequence[Split],
    settings: SplitSettings,
    warn: Warn,
) -> Texts | None:
    """Return the texts without labels: training texts that lose theirs, and at most `split.limit` of the dataset's own.

    unlabelled: training texts whose labels `split.labelled` removes. Left out are the dataset's empty texts and, with a
    warning, those that equal a text of a split that the run is evaluated on.
    """
    found = unlabelled
    if brought is not None:
        second = repeat(None) if brought.second is None else brought.second
        keys = [normal_key(*pair) for pair in zip(brought.first, second, strict=False)]
        known = {key for split in evaluated for key in text_keys(split)}
        rows = [row for row, key in enumerate(keys) if key not in known and brought.first[row].strip()]
        if settings.limit and settings.limit < len(rows):
            # By digest, so that a text is drawn or not whatever the order of the others is.
            salt = str(settings.seed).encode()[:16]
            drawn = sorted(rows, key=lambda row: blake2b(keys[row], salt=salt).digest())
            rows = sorted(drawn[: settings.limit])
        leaking = sum(key in known for key in keys)
        if leaking:
            warn(
                f"{leaking} of {len(brought)} texts without labels also stand in the validation or test data; "
                "they are left out"
            )
        found = _joined(found, brought.take(rows))
    return found if len(found) else None


def _joined(one: Texts, other: Texts) -> Texts:
    second = None if one.second is None or other.second is None else [*one.second, *other.second]
    return Texts([*one.first, *other.first], second)
