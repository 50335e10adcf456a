"""Owns the protocols that the objects behind components keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from ..data.dataset import Dataset, Labels, Split, Texts
from ..data.predictions import Encoded, Predictions
from ..data.tokens import Tokens
from .events import Event

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

Layout = Literal["packed", "padded"]


class Checkpoints(Protocol):
    """A crash-safe store of training states: what `latest` returns was written whole and is unchanged."""

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Call `write` with an empty folder, then make it durable, and only then drop older checkpoints."""

    def latest(self) -> Path | None:
        """Return the newest checkpoint whose manifest holds, warning of each newer one that does not."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The recipe's metrics on the validation split; `value` is `select`'s, turned so that greater is better."""

    metrics: dict[str, float]
    value: float


class Context(Protocol):
    """All that a component may know of the run it works in.

    seed: derived for this component and stage. cache: a folder shared between runs and processes, or None.
    work: the component's own corner, deleted afterwards. offline: open no socket. fast: scores may be computed in
    bf16. steps: the run's dataset, encoder and trainer by kind, each as {use, plugin, version, options}: from these
    `Engine.restore` makes a part again elsewhere.
    """

    @property
    def seed(self) -> int: ...
    @property
    def cache(self) -> Path | None: ...
    @property
    def work(self) -> Path: ...
    @property
    def offline(self) -> bool: ...
    @property
    def fast(self) -> bool: ...
    @property
    def checkpoints(self) -> Checkpoints | None: ...
    @property
    def steps(self) -> Mapping[str, Any]: ...

    def judge(self, scores: NDArray[np.float32]) -> Judgement:
        """Judge the scores of the validation split, in its order, by the recipe's metrics."""

    def emit(self, event: Event) -> None:
        """Tell the run and its observers, who are called by one thread at a time, whichever thread this is."""

    def warn(self, message: str) -> None: ...
    def stopping(self) -> bool:
        """Tell whether the run was asked to stop: finish the step, save, raise `textclf.Stopped`."""


class DatasetProvider(Protocol):
    def load(self, context: Context) -> Dataset:
        """Return the texts as they are; cleaning and splitting are the core's."""


class Encoder(Protocol):
    def fit(self, train: Split, context: Context) -> None:
        """Learn from the training split what encoding needs; called once, before `encode`."""

    def encode(self, texts: Texts, context: Context) -> Any:
        """Return one row of features a text, in order, each independent of the others."""

    def fingerprint(self) -> str:
        """Return what the features depend on, beside the texts; an empty string where they must not be cached."""

    def save(self, folder: Path) -> None:
        """Write all that `Component.restore` needs into the model folder's root."""


class Model(Protocol):
    def scores(self, features: Any, context: Context) -> NDArray[np.float32]:
        """Return probabilities, float32[texts, labels]; a text's scores do not depend on its neighbours."""

    def save(self, folder: Path) -> None:
        """Write all that `Trainer.restore` needs: own files under `folder/trainer`, weights through the encoder."""


class Trainer(Protocol):
    def train(
        self, encoder: Encoder, train: Encoded, validation: Encoded | None, labels: Labels, context: Context
    ) -> Model: ...

    def restore(self, folder: Path, encoder: Encoder, labels: Labels) -> Model: ...


@runtime_checkable
class Metric(Protocol):
    """A number that says how good predictions are.

    A metric whose attribute `reads_scores` is False depends on truth and predicted labels alone; its bootstrap is then
    drawn from the confusion cells, which is the same distribution and much faster.
    """

    greater_is_better: bool
    reads_scores: bool

    def __call__(self, predictions: Predictions, weights: NDArray[np.float64] | None = None) -> Any:
        """Return a float, or, for weights [draws, n], float64[draws]."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run, as outputs see it. `report` and `classifier` are textclf's own Report and Classifier."""

    report: Any
    predictions: Predictions
    history: Sequence[Mapping[str, Any]]
    classifier: Any
    recipe: Mapping[str, Any]


class Output(Protocol):
    def write(self, finished: Finished, folder: Path) -> None: ...


class TokenEncoder(Encoder, Protocol):
    """The contract that token encoders and network trainers share: any such encoder with any such trainer."""

    layouts: tuple[Layout, ...]

    def lengths(self, tokens: Tokens) -> NDArray[np.int64]:
        """Return the length of each text as the network will see it: truncated, with special tokens, int64[n]."""

    def build_network(self, labels: Labels) -> torch.nn.Module:
        """Return the pretrained body with a new head; beside `fit`, the only method that may reach for a download.

        The head is drawn from torch's global generator, which the trainer has seeded.
        """

    def collate(
        self, tokens: Tokens, rows: NDArray[np.int64], layout: Layout, device: torch.device
    ) -> dict[str, torch.Tensor]:
        """Return the keyword arguments with which `network(**it)` gives logits [rows, labels], in order of `rows`.

        The network returns them, or, as Hugging Face networks do, an object that carries them as `logits`.
        """

    def layers(self, network: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
        """Return every parameter once: embeddings first, the head last."""

    def save_network(self, network: torch.nn.Module, folder: Path) -> None:
        """Write weights and configuration in the Hugging Face layout: the only writer of weights."""

    def load_network(self, folder: Path, labels: Labels) -> torch.nn.Module:
        """Read what `save_network` wrote; missing, extra, misshapen or NaN tensors are an ArtefactError."""


