"""The check that a saved model, loaded again, answers as the trained one."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.dataset import Texts
from ..data.tokens import Tokens
from ..errors import PluginError, ResourceError, TextclfError, counted, said
from ..plugin.context import RunContext
from ..plugin.step import Step
from .classifier import Classifier
from .folder import noted_anew

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ROWS = 4
# So many texts are looked at for some that are not long: a network that reads 4 of them costs less than a second.
_CANDIDATES, _SHORT = 32, 200
# Of a row's largest number. Devices round otherwise: products in TF32 are off by some 1e-3 after a few layers.
FEATURE_TOLERANCE = 1e-2
_NUMBERS = "biuf"


def same_as_kept(kept: Any, texts: Texts, encode: Callable[[Texts], Any]) -> bool:
    """Tell whether the features that were kept are those that an encoder makes of a few of the texts."""
    import numpy as np

    rows = np.array(probed_rows(texts), np.int64)
    if not len(rows):
        return True
    if len(kept) != len(texts) if isinstance(kept, Tokens) else kept.shape[0] != len(texts):
        return False
    return alike(kept.take(rows) if isinstance(kept, Tokens) else kept[rows], encode(texts.take(rows)))


def alike(one: Any, other: Any) -> bool:
    """Tell whether features of the same texts are the same but for rounding.

    What is neither tokens nor an array, in a layout of a plugin's own, counts as alike: nobody can tell.
    """
    if not _comparable(one):
        return True
    if not _comparable(other) or isinstance(one, Tokens) != isinstance(other, Tokens):
        return False
    if isinstance(one, Tokens):
        return _same_tokens(one, other)
    return _near(_dense(one), _dense(other))


def _comparable(features: Any) -> bool:
    import numpy as np
    from scipy import sparse

    if isinstance(features, np.ndarray):
        return not features.dtype.hasobject
    return isinstance(features, Tokens) or bool(sparse.issparse(features))


def probed_rows(texts: Texts) -> list[int]:
    """Return a few rows, spread over all, whose texts say something and are not long."""
    step = max(1, len(texts) // _CANDIDATES)
    sizes = {row: sum(len(column[row].strip()) for column in texts.columns()) for row in range(0, len(texts), step)}
    by_size = sorted((row for row, size in sizes.items() if size), key=lambda row: sizes[row])
    short = [row for row in by_size if sizes[row] <= _SHORT]
    return sorted(short[-ROWS:] or by_size[:ROWS])


def _same_tokens(one: Tokens, other: Tokens) -> bool:
    import numpy as np

    if (one.cuts is None) != (other.cuts is None):
        return False
    cuts = one.cuts is None or np.array_equal(one.cuts, np.asarray(other.cuts))
    return cuts and np.array_equal(one.offsets, other.offsets) and np.array_equal(one.ids, other.ids)


def _near(kept: NDArray[Any], made: NDArray[Any]) -> bool:
    import numpy as np

    if kept.shape != made.shape:
        return False
    if kept.dtype.kind not in _NUMBERS or made.dtype.kind not in _NUMBERS:
        return np.array_equal(kept, made)
    kept, made = kept.astype(np.float64), made.astype(np.float64)
    largest = np.abs(np.nan_to_num(kept)).reshape(len(kept), -1).max(axis=1, initial=0)
    bound = FEATURE_TOLERANCE * largest.reshape(-1, *[1] * (kept.ndim - 1))
    return bool(((np.abs(kept - made) <= bound) | (np.isnan(kept) & np.isnan(made))).all())


def _dense(features: Any) -> NDArray[Any]:
    import numpy as np

    return np.asarray(features.toarray() if hasattr(features, "toarray") else features)


# By how much a probability may differ: a model may round what it saves, and a device what it adds.
SCORE_TOLERANCE = 0.02
# A model that differs from itself by more is a random one: it is asked so many times more, and what it becomes is held
# against it only where that differs so many times as much.
_STEADY, _MORE, _MARGIN = 1e-4, 6, 3
# Training held at least four times as much; nothing larger is loaded beside the model that was trained.
LARGEST_BYTES = 4 << 30
_SENTENCE = "the saved model does not answer as the one that was trained, whose figures these are"
_UNASKED = "the model that was trained cannot be asked as a saved one is, offline"
_UNSEEN = "it could not be seen whether the saved model answers as the one that was trained"


def unlike(trained: Classifier, folder: Path, load: Callable[[Path], Classifier], texts: Texts) -> str:
    """Say what is wrong with the saved model, tried with a few of the texts; nothing where it is sound.

    texts: as they are after cleaning. A model that is too large to be held twice is taken on trust.
    """
    rows = probed_rows(texts)
    if not rows or sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > LARGEST_BYTES:
        return ""
    try:
        with trained.context() as context:
            return _Doubt(replace(trained, cleaning=()), folder, texts.take(rows), context).words(load)
    except (ResourceError, MemoryError):
        return ""
    except Exception as error:  # noqa: BLE001 - the run is whole: no doubt is worth it
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        return f"{_UNSEEN}, a bug in textclf: {said(error)} ({place}); report it"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a classifier makes of the texts."""

    features: Any
    scores: NDArray[np.float32]

    def apart(self, other: _Answer) -> float:
        return float(abs(self.scores - other.scores).max())


@dataclass(frozen=True, slots=True)
class _Before:
    """What the trained model answered before anything was loaded. bound: how far apart two answers of it may be.

    steady: whether its encoder makes the same of the same texts.
    """

    answer: _Answer
    bound: float
    steady: bool


@dataclass(frozen=True, slots=True)
class _Doubt:
    """The model that was trained, the folder it was saved in, and a few texts that both are asked about."""

    trained: Classifier
    folder: Path
    texts: Texts
    context: RunContext

    def words(self, load: Callable[[Path], Classifier]) -> str:
        """Say what is wrong, if anything: of the encoder where it is its fault, since the trainer builds on it."""
        try:
            before = self._before()
        except ResourceError:
            raise
        except TextclfError as error:
            return f"{_UNASKED}: {self._named(error)}"
        loaded = None
        try:
            loaded = replace(load(self.folder), cleaning=())
            found = self._ask(loaded)
        except ResourceError:
            raise
        except TextclfError as error:
            return f"{_SENTENCE}: {self._encoders(before, loaded) or self._trainers(error)}"
        changed = self._changed(before)
        if changed:
            return str(changed)
        if before.answer.apart(found) <= before.bound:
            return ""
        return f"{_SENTENCE}: {self._encoders(before, loaded) or self._otherwise(before.answer, found)}"

    def _ask(self, classifier: Classifier) -> _Answer:
        features = classifier.features(self.texts, self.context)
        return _Answer(features, classifier.scores_of(features, len(self.texts), self.context))

    def _before(self) -> _Before:
        first, *others = [self._ask(self.trained) for _ in range(2)]
        if first.apart(others[0]) > _STEADY:
            others += [self._ask(self.trained) for _ in range(_MORE)]
        bound = max(SCORE_TOLERANCE, _MARGIN * max(map(first.apart, others)))
        return _Before(first, bound, alike(first.features, others[0].features))

    def _changed(self, before: _Before) -> PluginError | None:
        """Return the fault of what changed the trained model when the saved one was loaded."""
        step, method = self.trained.steps["trainer"], "restore"
        try:
            after = self._ask(self.trained)
        except ResourceError:
            raise
        except TextclfError as error:
            what = f"fails from then on: {error}"
        else:
            if before.answer.apart(after) <= before.bound:
                return None
            if before.steady and not alike(before.answer.features, after.features):
                step, method = self._encoder()
            what = f"then answers {self._words(before.answer, after)}"
        why = "keep what it knows in the object that it returns, not in its module or class"
        return step.error(f"{method}() changes the model that was trained, too, which {what}; {why}")

    def _encoder(self) -> tuple[Step[Any], str]:
        """Return the step of a loaded model's encoder, and the method that made it."""
        step = self.trained.steps["encoder"]
        return noted_anew(step, step, ())[0], "build" if step.component.restore is None else "restore"

    def _encoders(self, before: _Before, loaded: Classifier | None) -> TextclfError | None:
        """Return the fault of an encoder that cannot be restored, or that encodes otherwise when it was."""
        step, method = self._encoder()
        try:
            made = loaded.encoder if loaded else _naming(step, method, lambda: step.restore(self.folder))
            again = replace(self.trained, encoder=made, steps={**self.trained.steps, "encoder": step})
            features = _naming(step, "encode", lambda: again.features(self.texts, self.context))
        except PluginError as error:
            return error
        if not before.steady or alike(before.answer.features, features):
            return None
        width = _width(features, before.answer.features)
        what = f"{method}() gives an encoder that encodes otherwise than the one that was saved{width}"
        return step.error(what)

    def _trainers(self, error: TextclfError) -> TextclfError:
        """Return an error with the name of the trainer, where it comes from its code and does not tell so."""
        step = self.trained.steps["trainer"]
        if isinstance(error, PluginError) or not step.place(error):
            return error
        return step.error(f"the restored model fails: {said(error)}", error)

    def _named(self, error: TextclfError) -> TextclfError:
        """Return an error with the name of the part whose code it comes from, where it does not tell so."""
        encoder, trainer = self.trained.steps["encoder"], self.trained.steps["trainer"]
        for step, method in () if isinstance(error, PluginError) else ((encoder, "encode"), (trainer, "scores")):
            if step.place(error):
                return step.error(f"{method}() fails: {said(error)}", error)
        return error

    def _otherwise(self, trained: _Answer, found: _Answer) -> PluginError:
        step = self.trained.steps["trainer"]
        what = "restore() gives a model that scores otherwise than the one that was saved"
        return step.error(f"{what}: {self._words(trained, found)}")

    def _words(self, trained: _Answer, found: _Answer) -> str:
        """Return "0.500 in place of 0.912 for the label 'pos' of a test text", where they differ most."""
        apart = abs(trained.scores - found.scores)
        row = int(apart.max(axis=1).argmax())
        column = int(apart[row].argmax())
        numbers = f"{found.scores[row, column]:.3f} in place of {trained.scores[row, column]:.3f}"
        return f"{numbers} for the label '{self.trained.labels.names[column]}' of a test text"


def _naming(step: Step[Any], method: str, function: Callable[[], Any]) -> Any:
    """Return what a function does; an error of textclf's own that comes from it names the step, too."""
    try:
        return function()
    except (PluginError, ResourceError):
        raise
    except TextclfError as error:
        raise step.error(f"{method}() fails: {said(error)}", error) from error


def _width(found: Any, features: Any) -> str:
    """Return ": 1 column in place of 200" of two matrices of features; nothing where they have as many."""
    shapes: list[Any] = [getattr(each, "shape", ()) for each in (found, features)]
    one, other = shapes
    if len(one) != 2 or len(other) != 2 or one[1] == other[1]:
        return ""
    return f": {counted(one[1], 'column')} in place of {other[1]:,}"
