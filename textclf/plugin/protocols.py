"""The protocols of the objects that components build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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

    from ..data.explanation import Attributions, Method, Span


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
    """A finished run, as outputs see it. `report` and `classifier` are textclf's own Report and Classifier.

    record: what record.json holds at that time, such as versions, machine and source of the data.
    """

    report: Any
    predictions: Predictions
    history: Sequence[Mapping[str, Any]]
    classifier: Any
    recipe: Mapping[str, Any]
    record: Mapping[str, Any] = field(default_factory=dict)


class Output(Protocol):
    def write(self, finished: Finished, folder: Path) -> None: ...


class Objective(Protocol):
    """Something that a network learns from texts alone before it learns the labels, in the trainer's own loop.

    What it draws at random depends on `draw` (the run's seed and the epoch) and on the row alone, so that a resumed
    training, or one in other batches, draws the same.

    name: what events and the report call it. epochs: passes over `tokens`. learning_rate: of the optimiser.
    head_learning_rate: of what its network has beside the classifier's parameters. batch_size: texts in one step.
    """

    name: str
    epochs: float
    learning_rate: float
    head_learning_rate: float
    batch_size: int
    tokens: Tokens

    def build_network(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return a network that shares the body of `network`: what one learns, the other has learned.

        `network(**collate(...))` returns the loss of each row, summed over what `counts` counts, float32[rows].
        """

    def counts(self, rows: NDArray[np.int64], draw: tuple[int, ...]) -> NDArray[np.int64]:
        """Return how many targets each row has, int64[rows]: a step's loss is the mean over all of its targets."""

    def collate(
        self, rows: NDArray[np.int64], draw: tuple[int, ...], layout: Layout, device: torch.device
    ) -> dict[str, Any]:
        """Return the keyword arguments of the network for these rows of `tokens`."""


class TokenEncoder(Encoder, Protocol):
    """The contract that token encoders and network trainers share: any such encoder with any such trainer.

    An encoder whose traits say `objectives` also has `objectives(train: Tokens, unlabelled: Tokens | None)`, which
    returns a sequence of Objective, to be learned in that order before the labels.
    """

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

        They are called as the network calls them, but for one: a padded batch says in `attention_mask`, [rows,
        longest], what the network reads (1) and what only fills up (0); there may be none where nothing is filled up.
        The network returns them, or, as Hugging Face networks do, an object that carries them as `logits`.
        """

    def layers(self, network: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
        """Return every parameter once: embeddings first, the head last."""

    def save_network(self, network: torch.nn.Module, folder: Path) -> None:
        """Write weights and configuration in the Hugging Face layout: the only writer of weights."""

    def load_network(self, folder: Path, labels: Labels) -> torch.nn.Module:
        """Read what `save_network` wrote; missing, extra, misshapen or NaN tensors are an ArtefactError."""


class Spans(Protocol):
    """What an Encoder may offer beside its contract: where in a text its features come from. Found by its presence."""

    def spans(self, texts: Texts, context: Context) -> Sequence[Mapping[int, Sequence[Span]]]:
        """Return, for each text, the places that each unit of its features came from, in the text as it is given.

        A folded or normalised text may be longer or shorter, and its places others. Units are positions in the text's
        row of Tokens, or the columns of a matrix that are not zero. A unit of several places (the words of an n-gram, a
        word that occurs twice) contributes evenly through each.
        """


class Reads(Protocol):
    """What an Encoder may offer beside its contract: how much of a text it reads. Found by its presence."""

    def reads(self, texts: Texts, context: Context) -> Sequence[Sequence[Span]]:
        """Return, for each text, the places that its features come from, without those that were cut off.

        Explaining by deletion leaves all other words alone, and says of them that they are not read.
        """


class SeenTokens(Protocol):
    """What a TokenEncoder may offer beside its contract, so that its networks can be explained by gradients.

    `network.get_input_embeddings()` must return the module whose answer, [rows, longest, width], is all that the
    network knows of the tokens of a padded batch. blank: the id of the token that stands for no word, such as a mask;
    None where that is an embedding of zeros.
    """

    blank: int | None

    def seen(self, tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return of which token each place of a padded batch is, int64[rows, longest]: its position in its text's row.

        -1 stands at special tokens and where a batch is padded; positions that were cut off are nowhere.
        """


class Attributing(Protocol):
    """What a Model may offer beside its contract: what each unit of its features contributed. Found by its presence.

    A model that cannot tell of every encoder or network also has `opaque() -> str`: the reason, or an empty string.
    """

    explains_by: Method

    def attributions(self, features: Any, columns: NDArray[np.int64], context: Context) -> Sequence[Attributions]:
        """Return, for each row of features, what its units contributed to the logit of that row's label column."""
