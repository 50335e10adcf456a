"""The check that a saved model, loaded again, scores as the trained one, and that cached features are still right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.dataset import Texts
from ..data.tokens import Tokens
from ..errors import ResourceError, TextclfError
from ..plugin.context import RunContext
from .classifier import Classifier

if TYPE_CHECKING:
    from numpy.typing import NDArray


ROWS = 8
# Of so many texts the short ones are taken: a network on a CPU reads eight of them in about a second.
_CANDIDATES, _SHORT = 64, 200
# Of the largest number in a row: products in TF32 are off by about 1e-3 after a few layers, other devices by less.
FEATURE_TOLERANCE = 1e-2
# Of a probability: a model may round the weights that it saves.
SCORE_TOLERANCE = 0.02
# How many times further than its own second answer a random model may be from the loaded one, of eight texts each.
_CHANCE = 6
# Training needed at least four times as much memory; a larger model is not loaded beside the trained one.
LARGEST_BYTES = 4 << 30


def check_saved_model(trained: Classifier, folder: Path, load: Callable[[Path], Classifier], texts: Texts) -> str:
    """Return a warning where the saved model does not score a few texts as the trained one, or "".

    texts: after cleaning. A model that is larger than LARGEST_BYTES, or too large for memory, is not checked.
    """
    rows = short_rows(texts)
    if not rows or sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > LARGEST_BYTES:
        return ""
    try:
        with trained.context() as context:
            return _difference(replace(trained, cleaning=()), folder, load, texts.take(rows), context)
    except (ResourceError, MemoryError):
        return ""
    except TextclfError as error:
        return f"the saved model cannot be compared with the trained one: {error}"


def _difference(
    trained: Classifier, folder: Path, load: Callable[[Path], Classifier], texts: Texts, context: RunContext
) -> str:
    """Return how the loaded model differs from the trained one, named after its encoder or its trainer, or ""."""
    features = trained.features(texts, context)
    scores = trained.scores_of(features, len(texts), context)
    # A second answer of the same model shows what of a difference is chance. All this comes before loading, since a
    # `restore` may change what the trained model shares with the loaded one.
    again = trained.features(texts, context)
    chance = abs(scores - trained.scores_of(again, len(texts), context)).max()
    loaded = replace(load(folder), cleaning=())
    restored = loaded.features(texts, context)
    # The encoder first: a trainer that is restored rightly scores other features differently, or fails on them.
    if same_features(features, again) and not same_features(features, restored):
        error = loaded.steps["encoder"].error("the encoder that is loaded makes other features than the trained one")
        return f"the saved model does not score as the trained one: {error}"
    found = loaded.scores_of(restored, len(texts), context)
    apart = abs(scores - found)
    if apart.max() <= max(SCORE_TOLERANCE, _CHANCE * chance):
        return ""
    row, column = divmod(int(apart.argmax()), apart.shape[1])
    error = loaded.steps["trainer"].error(
        f"the model that restore() returns gives a test text the score {found[row, column]:.3f} for the label "
        f"'{trained.labels.names[column]}', the trained one gave {scores[row, column]:.3f}"
    )
    return f"the saved model does not score as the trained one: {error}"


def matches_cache(cached: Any, texts: Texts, encode: Callable[[Texts], Any]) -> bool:
    """Return whether cached features of texts are those that the encoder makes of a few of them."""
    import numpy as np

    rows = np.array(short_rows(texts), np.int64)
    if not len(rows):
        return True
    if len(cached) != len(texts) if isinstance(cached, Tokens) else cached.shape[0] != len(texts):
        return False
    return same_features(cached.take(rows) if isinstance(cached, Tokens) else cached[rows], encode(texts.take(rows)))


def short_rows(texts: Texts) -> list[int]:
    """Return up to ROWS rows, spread over all, of texts that are short but not empty."""
    step = max(1, len(texts) // _CANDIDATES)
    sizes = {row: sum(len(column[row].strip()) for column in texts.columns()) for row in range(0, len(texts), step)}
    by_size = sorted((row for row, size in sizes.items() if size), key=lambda row: sizes[row])
    short = [row for row in by_size if sizes[row] <= _SHORT]
    return sorted(short[-ROWS:] or by_size[:ROWS])


def same_features(one: Any, other: Any) -> bool:
    """Return whether features of the same texts are equal up to rounding; True for layouts that only a plugin knows."""
    import numpy as np

    if isinstance(one, Tokens) and isinstance(other, Tokens):
        pairs = ((one.ids, other.ids), (one.offsets, other.offsets), (one.cuts, other.cuts))
        return all(np.array_equal(mine, its) if mine is not None else its is None for mine, its in pairs)  # type: ignore[arg-type]
    if isinstance(one, Tokens) or isinstance(other, Tokens):
        return False
    first, second = _dense(one), _dense(other)
    if first is None:
        return True
    return second is not None and first.shape == second.shape and _near(first, second)


def _dense(features: Any) -> NDArray[Any] | None:
    import numpy as np

    array = features.toarray() if hasattr(features, "toarray") else features
    return array if isinstance(array, np.ndarray) and not array.dtype.hasobject else None


def _near(one: NDArray[Any], other: NDArray[Any]) -> bool:
    import numpy as np

    if one.dtype.kind not in "biuf" or other.dtype.kind not in "biuf":
        return np.array_equal(one, other)
    one, other = (each.astype(np.float64).reshape(len(each), -1) for each in (one, other))
    bound = FEATURE_TOLERANCE * np.abs(np.nan_to_num(one)).max(axis=1, initial=0, keepdims=True)
    return bool(((np.abs(one - other) <= bound) | (np.isnan(one) & np.isnan(other))).all())
