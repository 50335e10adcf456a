"""The subject of a check: a component, its options, and stand-ins for the other steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from ...data.dataset import Dataset, Task, Texts
from ...data.tokens import Tokens
from ...errors import DataError
from ...files import special_file_in
from ...model.folder import pickle_in
from ...plugin import options as plugin_options
from ...plugin.component import Component, Kind, Options, Traits
from ...plugin.protocols import Finished
from ...plugin.step import missing_libraries, pip_command
from ..context import LocalContext
from ..contract import Broken, NotApplicable, NotTried, raised
from ..toy import TextsOptions, ToyTexts
from ..toy import textclf_encoders as toy_encoders

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Lenient(GenerateJsonSchema):
    """Says nothing of a type that has no schema, and all of the others."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as it is defined there

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def schema_of(options: type[Options]) -> Mapping[str, Any]:
    """Return the schema of options; of what has none, or fails to make it, the names alone."""
    try:
        return options.model_json_schema(schema_generator=_Lenient)
    except Exception:  # noqa: BLE001 - a plugin's own part of it may raise anything; `demand_schema` tells
        return {"properties": {field.alias or name: {} for name, field in options.model_fields.items()}}


def demand_schema(component: Component[Any, Any]) -> None:
    """Raise Broken where the making of the schema fails, and not since a type has none."""
    options = component.options
    if not options.__pydantic_complete__:  # nothing can be read by it, which is said
        return
    try:
        options.model_json_schema(schema_generator=_Lenient)
    except PydanticInvalidForJsonSchema:
        return
    except Exception as error:
        raise Broken(f"their JSON schema cannot be made: {raised(error, component)}") from error


def as_cached(features: Any, path: Path) -> Any:
    """Return a dense matrix as it comes from the cache: read-only, mapped from a file; all else as it is."""
    import numpy as np

    if not isinstance(features, np.ndarray) or features.dtype.kind not in "fiub":
        return features
    np.save(path, features, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def as_made(features: Any) -> Any:
    """Return a matrix that was mapped from a file as an array in memory, which can be written into."""
    import numpy as np

    return np.array(features) if isinstance(features, np.ndarray) else features


ROUNDING = 1e-4
"""How far a network's features of a text may differ with the batch it is in."""


def rows_of(features: Any) -> int:
    """Return the number of texts that features are of."""
    return int(features.shape[0]) if hasattr(features, "shape") else len(features)


def take(features: Any, rows: Sequence[int]) -> Any:
    """Return the features of some texts."""
    import numpy as np

    chosen = np.asarray(rows, np.int64)
    if isinstance(features, Tokens):
        return features.take(chosen)
    if hasattr(features, "shape"):
        return features[chosen]
    raise NotApplicable(f"its features, {type(features).__name__}, are in no layout that textclf knows")


def dense(features: Any) -> NDArray[np.float64]:
    """Return a dense or sparse matrix as an array."""
    import numpy as np

    return np.asarray(features.toarray() if hasattr(features, "toarray") else features, np.float64)


def demand_numbers(features: Any, texts: Sequence[str], layout: str) -> None:
    """Raise Broken where a matrix of features holds what is no number, or, of counts, a negative one, naming a text."""
    import numpy as np

    values, rows = _entries(features)
    if values.dtype.kind not in "fiub":
        raise Broken(f"its features are of dtype {values.dtype}, no numbers")
    for wrong, what in ((~np.isfinite(values), "NaN or infinity"), (values < 0, "a negative count")):
        if wrong.any() and (layout == "counts" or what != "a negative count"):
            where = texts[rows[wrong][0]]
            raise Broken(f"the text {_short(where)} gives {what}: {values[wrong][0]:.3g}")


def _entries(features: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the numbers that a matrix holds, without the zeros of a sparse one, and the row of each."""
    import numpy as np

    if hasattr(features, "tocoo"):
        entries = features.tocoo()
        return entries.data, entries.row
    values = np.asarray(features)
    return values.ravel(), np.repeat(np.arange(len(values)), values.shape[1])


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def demand_same(one: Any, other: Any, what: str, tolerance: float = 1e-5) -> None:
    """Raise Broken where two features differ beyond rounding."""
    import numpy as np

    if isinstance(one, Tokens) and isinstance(other, Tokens):
        if not _same_tokens(one, other):
            raise Broken(f"{what}: the token ids differ")
        return
    if not (hasattr(one, "shape") and hasattr(other, "shape")):
        raise NotApplicable(f"its features, {type(one).__name__}, are in no layout that textclf knows")
    first, second = dense(one), dense(other)
    if first.shape != second.shape:
        raise Broken(f"{what}: the shapes differ, {first.shape} and {second.shape}")
    if not np.allclose(first, second, rtol=tolerance, atol=tolerance):
        raise Broken(f"{what}: they differ by up to {np.abs(first - second).max():.3g}")


def differ(one: Any, other: Any, tolerance: float = 1e-5) -> bool:
    """Tell whether two features differ."""
    try:
        demand_same(one, other, "", tolerance)
    except Broken:
        return True
    return False


def demand_files(folder: Path) -> None:
    """Raise Broken where what was saved is not plain files and folders."""
    if odd := special_file_in(folder):
        raise Broken(f"it saves {odd}; write plain files")


def demand_no_pickle(folder: Path) -> None:
    """Raise Broken where a saved file is a pickle, whatever it is called, or holds one."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if what := pickle_in(path):
            raise Broken(f"it saves '{path.name}'{what}; save arrays and JSON")


def _same_tokens(one: Tokens, other: Tokens) -> bool:
    import numpy as np

    cuts = one.cuts is None if other.cuts is None else one.cuts is not None and np.array_equal(one.cuts, other.cuts)
    return bool(cuts) and np.array_equal(one.ids, other.ids) and np.array_equal(one.offsets, other.offsets)


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
    absent = missing_libraries(component)
    if absent:
        raise NotTried(f"not installed: {', '.join(absent)}; {pip_command(component, absent)}")


def read_options(component: Component[Any, Any], values: Mapping[str, Any]) -> Options:
    """Read options as a recipe's are read: as JSON, strictly."""
    options: Options = plugin_options.read_options(component.options, values)
    return options
