"""Owns the toy trainer: softmax or sigmoid regression by plain gradient descent, with checkpoints and resume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ...data.dataset import Labels, Task
from ...data.predictions import Encoded
from ...errors import ArtefactError, Stopped
from ...plugin.component import Options, Traits
from ...plugin.events import EpochFinished, Progress
from ...plugin.protocols import Context, Encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FILE = "toy_linear.npy"


class LinearOptions(Options):
    epochs: int = Field(30, ge=1, le=100_000, description="how often all texts are seen")
    rate: float = Field(1.0, gt=0, le=1000, description="how far each step goes")
    keep: Literal["last", "best"] = Field("last", description="the last epoch, or the best one on the validation texts")


def linear_traits(options: LinearOptions) -> Traits:
    return Traits(
        reads=frozenset({"matrix", "counts"}),
        tasks=frozenset({"single-label", "multi-label"}),
        pairs=True,
        uses_validation=options.keep == "best",
    )


@dataclass(frozen=True, slots=True)
class _State:
    """Where training stands: what a checkpoint must hold so that a resumed run ends with the same bits."""

    epoch: int
    weights: NDArray[np.float64]
    value: float = float("-inf")
    best: NDArray[np.float64] | None = None


class ToyModel:
    def __init__(self, weights: NDArray[np.float64], task: Task) -> None:
        self.weights = weights  # [columns + 1, labels], the bias in the last row
        self.task = task

    def scores(self, features: Any, context: Context) -> NDArray[np.float32]:
        import numpy as np

        return probabilities(features, self.weights, self.task).astype(np.float32)

    def save(self, folder: Path) -> None:
        import numpy as np

        (folder / "trainer").mkdir(exist_ok=True)
        np.save(folder / "trainer" / _FILE, self.weights, allow_pickle=False)


class ToyLinear:
    def __init__(self, options: LinearOptions) -> None:
        self.options = options

    def train(
        self, encoder: Encoder, train: Encoded, validation: Encoded | None, labels: Labels, context: Context
    ) -> ToyModel:
        import numpy as np

        truth = train.labels if train.labels.ndim == 2 else train.labels[:, None] == np.arange(len(labels))
        state = self._begin(train.features.shape[1] + 1, len(labels), context)
        while state.epoch < self.options.epochs:
            guess = probabilities(train.features, state.weights, labels.task)
            loss = float(-np.log(np.where(truth, guess, 1 - guess) + 1e-12).mean())
            weights = state.weights - self.options.rate * _gradient(train.features, guess - truth)
            metrics = None
            state = replace(state, epoch=state.epoch + 1, weights=weights)
            if self.options.keep == "best" and validation is not None:
                judged = context.judge(probabilities(validation.features, weights, labels.task).astype(np.float32))
                metrics = judged.metrics
                if judged.value > state.value:
                    state = replace(state, value=judged.value, best=weights)
            self._tell(state, loss, metrics, context)
            self._keep(state, context)
        return ToyModel(state.weights if state.best is None else state.best, labels.task)

    def restore(self, folder: Path, encoder: Encoder, labels: Labels) -> ToyModel:
        weights = _read(folder / "trainer" / _FILE)
        if weights.ndim != 2 or weights.shape[1] != len(labels):
            raise ArtefactError(f"{folder / 'trainer' / _FILE} holds {weights.shape} weights for {len(labels)} labels")
        return ToyModel(weights, labels.task)

    def _begin(self, rows: int, labels: int, context: Context) -> _State:
        """Return the state of the newest checkpoint, or small random weights drawn from the seed."""
        import numpy as np

        latest = context.checkpoints.latest() if context.checkpoints else None
        if latest is None:
            return _State(0, np.random.default_rng(context.seed).normal(0, 1e-3, (rows, labels)))
        with np.load(latest / "state.npz", allow_pickle=False) as saved:
            best = saved["best"] if "best" in saved.files else None
            return _State(int(saved["epoch"]), saved["weights"], float(saved["value"]), best)

    def _tell(self, state: _State, loss: float, metrics: dict[str, float] | None, context: Context) -> None:
        total, best = self.options.epochs, state.best is state.weights
        context.emit(Progress(stage="train", done=state.epoch, total=total, unit="epochs", loss=loss))
        context.emit(
            EpochFinished(epoch=state.epoch, epochs=total, step=state.epoch, loss=loss, validation=metrics, best=best)
        )

    def _keep(self, state: _State, context: Context) -> None:
        """Write a checkpoint every ten epochs and when the run is stopping."""
        import numpy as np

        def write(folder: Path) -> None:
            arrays: dict[str, NDArray[Any]] = {"weights": state.weights}
            arrays |= {"epoch": np.array(state.epoch), "value": np.array(state.value)}
            arrays |= {} if state.best is None else {"best": state.best}
            np.savez(folder / "state.npz", allow_pickle=False, **arrays)

        stopping = context.stopping()
        if context.checkpoints and (stopping or state.epoch % 10 == 0):
            context.checkpoints.save(state.epoch, write)
        if stopping:
            raise Stopped(f"stopped after epoch {state.epoch} of {self.options.epochs}")


def probabilities(features: Any, weights: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    """Return the probability of each label; `features` is a dense or sparse matrix."""
    import numpy as np

    logits = np.asarray(features @ weights[:-1]) + weights[-1]
    if task == "multi-label":
        powers, whole = np.exp(np.clip(logits, -50, 50)), 1.0 + np.exp(np.clip(logits, -50, 50))
    else:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        whole = powers.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = powers / whole
    return shares


def _gradient(features: Any, error: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.vstack([np.asarray(features.T @ error), error.sum(axis=0)]) / len(error)


def _read(path: Path) -> NDArray[np.float64]:
    import numpy as np

    try:
        weights: NDArray[np.float64] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from None
    return weights
