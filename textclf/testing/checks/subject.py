"""Owns what a check works on: a component, its options, and the stand-ins for a recipe's other steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from ...data.dataset import Dataset, Task, Texts
from ...errors import DataError
from ...plugin import options as plugin_options
from ...plugin.component import Component, Kind, Options, Traits
from ...plugin.protocols import Finished
from ...plugin.step import lacking_libraries, pip_command
from ..clauses import NotApplicable, NotTried
from ..context import LocalContext
from ..toy import textclf_encoders as toy_encoders
from ..toy.texts import TextsOptions, ToyTexts

T = TypeVar("T")


def toy_dataset(task: Task, pairs: bool) -> Dataset:
    """Return 90 generated texts of three labels to train on and 30 to test on."""
    options = TextsOptions(size=90, labels=3, test=30, multi_label=task == "multi-label", pairs=pairs)
    return ToyTexts(options).load(LocalContext(Path()))


def toy_lesson(task: Task, pairs: bool) -> Dataset:
    """Return 90 generated texts of three labels to train on and 60 to test on, which any sound classifier tells apart.

    Each has all words of its labels and no others but common ones: whoever is lost in columns that tell nothing, as
    nearest neighbours and naive Bayes are, still learns it.
    """
    several = task == "multi-label"
    options = TextsOptions(size=90, labels=3, test=60, multi_label=several, pairs=pairs, words=6, numbered=False)
    return ToyTexts(options).load(LocalContext(Path()))


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIns:
    """What stands in the places of a recipe's other steps while one component is checked.

    dataset: (task, pairs) to a dataset with a test split, whose labels can be learnt; None: generated texts. encoder:
    what makes the features that a trainer reads, with its options. finished: a finished run for an output to write of.
    """

    dataset: Callable[[Task, bool], Dataset] | None = None
    encoder: Component[Any, Any] | None = None
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    finished: Finished | None = None


class Subject:
    """A component under check. What is slow to make, such as a trained model, is made once and kept in `memory`."""

    def __init__(
        self,
        component: Component[Any, Any],
        kind: Kind,
        values: Mapping[str, Any],
        stand_ins: StandIns,
        folder: Path | None = None,
    ) -> None:
        self.component = component
        self.kind = kind
        self.values = values
        self.stand_ins = stand_ins
        self.memory: dict[object, Any] = {}
        self.paired = False  # whether it is tried on pairs of texts, since it reads nothing else
        # Without a folder it has one of its own, for as long as it lives.
        self._own = None if folder else TemporaryDirectory(prefix="textclf-check-")
        self._folder = Path(self._own.name) if self._own else folder or Path()
        self._numbers = count()

    @property
    def options(self) -> Options:
        return read_options(self.component, self.values)

    @property
    def traits(self) -> Traits:
        return self.component.traits_of(self.options)

    def build(self) -> Any:
        self.installed()
        return self.component.build(self.options)

    def restore(self, folder: Path) -> Any:
        """Make the object anew from a saved folder, or, where the component says nothing of that, from its options."""
        restore = self.component.restore
        return self.component.build(self.options) if restore is None else restore(self.options, folder)

    def installed(self) -> None:
        """Raise NotTried where a library the component needs is not there."""
        _demand_installed(self.component)

    def folder(self) -> Path:
        """Return an empty folder."""
        place = self._folder / str(next(self._numbers))
        place.mkdir()
        return place

    def context(self, seed: int = 0) -> LocalContext:
        return LocalContext(self.folder(), seed=seed)

    def on_texts(self, work: Callable[[], T]) -> T:
        """Do something on single texts; where an encoder of pairs refuses those, on pairs, as all that follows."""
        try:
            return work()
        except DataError:
            if self.paired or not self.traits.pairs:
                raise
        self.paired = True
        self.memory.pop("fitted", None)
        return work()

    def texts(self, first: Sequence[str]) -> Texts:
        """Return the texts, or, where it reads pairs alone, each with the next one behind it."""
        return Texts(first, [*first[1:], *first[:1]] if self.paired else None)

    def dataset(self, task: Task | None = None, pairs: bool | None = None, *, fresh: bool = False) -> Dataset:
        """Return the stand-in dataset; `fresh`: as nobody has touched it yet."""
        pairs = self.paired if pairs is None else pairs
        task = task or ("single-label" if "single-label" in self.traits.tasks else "multi-label")
        key = ("dataset", task, pairs)
        made = self.stand_ins.dataset or (toy_lesson if self.kind == "trainer" else toy_dataset)
        if fresh:
            return made(task, pairs)
        if key not in self.memory:
            self.memory[key] = made(task, pairs)
        dataset: Dataset = self.memory[key]
        return dataset

    def stand_in_encoder(self) -> tuple[Component[Any, Any], Options]:
        """Return an encoder that makes what the trainer reads: the one given, else the toy's; NotApplicable if none."""
        reads = self.traits.reads
        if self.stand_ins.encoder is not None:
            _demand_installed(self.stand_ins.encoder)
            return self.stand_ins.encoder, read_options(self.stand_ins.encoder, self.stand_ins.encoder_options)
        (toy,) = toy_encoders()
        for layout in ("matrix", "counts"):
            if layout in reads:
                return toy, read_options(toy, {"layout": layout})
        raise NotApplicable(f"it reads {', '.join(sorted(reads))}: give an encoder that makes it (StandIns, --encoder)")


def _demand_installed(component: Component[Any, Any]) -> None:
    absent = lacking_libraries(component)
    if absent:
        raise NotTried(f"not installed: {', '.join(absent)}; {pip_command(component, absent)}")


def read_options(component: Component[Any, Any], values: Mapping[str, Any]) -> Options:
    """Read options as a recipe's are read: as JSON, strictly."""
    options: Options = plugin_options.read_options(component.options, values)
    return options
