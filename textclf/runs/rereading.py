"""Owns the doubt about the saved model: whether, loaded again, it answers as the one that was trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..classifier import Classifier
from ..data.dataset import Texts
from ..errors import PluginError, ResourceError, TextclfError, counted, said
from ..hooks.context import RunContext
from ..recipe.plan import Step
from ..recipe.restoring import noted_anew
from .probing import probed_rows, same_as_kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# By how much a probability may differ: a model may round what it saves, and a device what it adds.
TOLERANCE = 0.02
# Training held at least four times as much; nothing larger is loaded beside the model that was trained.
LARGEST_BYTES = 4 << 30
_SENTENCE = "the saved model does not answer as the one that was trained, whose figures these are"


def unlike(trained: Classifier, folder: Path, load: Callable[[Path], Classifier], texts: Texts) -> str:
    """Say what is wrong with the saved model, tried with a few of the texts; nothing where it is sound.

    texts: as they are after cleaning. A model that is too large to be held twice is taken on trust.
    """
    rows = probed_rows(texts)
    if not rows or sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > LARGEST_BYTES:
        return ""
    try:
        with trained.context() as context:
            fault = _Doubt(replace(trained, cleaning=()), folder, texts.take(rows), context).fault(load)
    except (ResourceError, MemoryError):
        return ""
    except TextclfError as error:
        fault = error
    return f"{_SENTENCE}: {fault}" if fault else ""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """The model that was trained, the folder it was saved in, and a few texts that both are asked about."""

    trained: Classifier
    folder: Path
    texts: Texts
    context: RunContext

    def fault(self, load: Callable[[Path], Classifier]) -> TextclfError | None:
        """Return what is wrong, if anything: the encoder's fault where there is one, since the trainer builds on it."""
        scores, loaded = self._scores(self.trained), None
        try:
            loaded = replace(load(self.folder), cleaning=())
            found = self._scores(loaded)
        except ResourceError:
            raise
        except TextclfError as error:
            return self._encoders(loaded) or self._trainers(error)
        if _largest(scores, found) <= TOLERANCE:
            return None
        # What answers otherwise each time it is asked cannot be held against anything.
        if _largest(scores, self._scores(self.trained)) > TOLERANCE:
            return None
        return self._encoders(loaded) or self._trainers(self._otherwise(scores, found))

    def _encoders(self, loaded: Classifier | None) -> TextclfError | None:
        """Return the fault of an encoder that cannot be restored, or that encodes otherwise when it was."""
        step = self.trained.steps["encoder"]
        method = "build" if step.component.restore is None else "restore"
        features = self._features(self.trained)
        if not same_as_kept(features, self.texts, lambda texts: self.trained.features(texts, self.context)):
            return None
        anew, _ = noted_anew(step, step, ())
        try:
            made = _naming(anew, method, lambda: anew.restore(self.folder)) if loaded is None else loaded.encoder
            again = replace(self.trained, encoder=made, steps={**self.trained.steps, "encoder": anew})
            found = _naming(anew, "encode", lambda: self._features(again))
        except PluginError as error:
            return error
        if same_as_kept(features, self.texts, lambda texts: again.features(texts, self.context)):
            return None
        what = f"{method}() gives an encoder that encodes otherwise than the one that was saved"
        return anew.fault(what + _width(found, features), step.component.restore or step.component.build)

    def _trainers(self, error: TextclfError) -> TextclfError:
        """Return an error with the name of the trainer, where it comes from its code and does not tell so."""
        step = self.trained.steps["trainer"]
        if isinstance(error, PluginError) or not step.place(error):
            return error
        return step.fault(f"the restored model fails: {said(error)}", error)

    def _otherwise(self, scores: NDArray[np.float32], found: NDArray[np.float32]) -> PluginError:
        step, names = self.trained.steps["trainer"], self.trained.labels.names
        row = int(abs(scores - found).max(axis=1).argmax())
        column = int(abs(scores - found)[row].argmax())
        return step.fault(
            f"restore() gives a model that scores otherwise than the one that was saved: {found[row, column]:.3f} in "
            f"place of {scores[row, column]:.3f} for the label '{names[column]}' of a test text",
            step.build().restore,
        )

    def _scores(self, classifier: Classifier) -> NDArray[np.float32]:
        return classifier.raw_scores(self.texts, self.context)

    def _features(self, classifier: Classifier) -> Any:
        return classifier.features(self.texts, self.context)


def _naming(step: Step[Any], method: str, function: Callable[[], Any]) -> Any:
    """Return what a function does; an error of textclf's own that comes from it names the step, too."""
    try:
        return function()
    except (PluginError, ResourceError):
        raise
    except TextclfError as error:
        raise step.fault(f"{method}() fails: {said(error)}", error) from error


def _width(found: Any, features: Any) -> str:
    """Return ": 1 column in place of 200" of two matrices of features; nothing where they have as many."""
    shapes: list[Any] = [getattr(each, "shape", ()) for each in (found, features)]
    one, other = shapes
    if len(one) != 2 or len(other) != 2 or one[1] == other[1]:
        return ""
    return f": {counted(one[1], 'column')} in place of {other[1]:,}"


def _largest(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(abs(one - other).max())
