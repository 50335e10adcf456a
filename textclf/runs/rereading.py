"""Owns the doubt about the saved model: whether, loaded again, it answers as the one that was trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..classifier import Classifier
from ..data.dataset import Texts
from ..errors import ResourceError, TextclfError
from ..hooks.context import RunContext
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
    some = texts.take(rows)
    try:
        with trained.context() as context:
            fault = _fault(replace(trained, cleaning=()), replace(load(folder), cleaning=()), some, context)
    except (ResourceError, MemoryError):
        return ""
    except TextclfError as error:
        fault = error
    return f"{_SENTENCE}: {fault}" if fault else ""


def _fault(trained: Classifier, loaded: Classifier, texts: Texts, context: RunContext) -> TextclfError | None:
    encoder, trainer = loaded.steps["encoder"], loaded.steps["trainer"]
    scores, found = (classifier.raw_scores(texts, context) for classifier in (trained, loaded))
    if _largest(scores, found) <= TOLERANCE:
        return None
    # What answers otherwise each time it is asked cannot be held against anything.
    if _largest(scores, trained.raw_scores(texts, context)) > TOLERANCE:
        return None
    features = trained.features(texts, context)
    if not same_as_kept(features, texts, lambda some: loaded.features(some, context)):
        origin = encoder.component.restore or encoder.component.build
        return encoder.fault("restore() gives an encoder that encodes otherwise than the one that was saved", origin)
    row = int(abs(scores - found).max(axis=1).argmax())
    column = int(abs(scores - found)[row].argmax())
    return trainer.fault(
        f"restore() gives a model that scores otherwise than the one that was saved: {found[row, column]:.3f} in "
        f"place of {scores[row, column]:.3f} for the label '{loaded.labels.names[column]}' of a test text",
        trainer.build().restore,
    )


def _largest(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(abs(one - other).max())
