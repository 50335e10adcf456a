"""The Classifier: encoder, model, labels, cleaning and decision. It predicts, saves and loads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.batching import WINDOW
from ..data.cleaning import clean
from ..data.dataset import Labels, Texts
from ..data.inputs import checked, column_of, columns_of, rows_of
from ..data.predictions import Answers, Decision, Prediction, answers, shortest
from ..errors import ArtefactError, DataError
from ..files import digest_error, disk_errors, read_json, write_folder
from ..plugin.component import Kind
from ..plugin.context import RunContext
from ..plugin.events import Event, Warned
from ..plugin.protocols import Encoder, Model
from ..plugin.registry import Registry
from ..plugin.step import MODEL, Step
from ..plugin.validation import check_features, check_scores
from .folder import FILE, Saved, note_rebuilt, restored_step, save_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.explanation import Explanations


FORMAT = 1


def silent(event: Event) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained classifier. `steps` say from which components it was made, so that it can be saved and loaded.

    metrics: what its run was judged by, as `Step.to_json` writes it; nothing else needs their plugins.
    """

    labels: Labels
    encoder: Encoder
    model: Model
    steps: Mapping[Kind, Step[Any]]
    cleaning: tuple[str, ...] = ()
    decision: Decision = field(default_factory=Decision)
    pairs: bool = False
    cache: Path | None = None
    metrics: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        return f"<Classifier '{self.steps['encoder'].name}' + '{self.steps['trainer'].name}': {self.labels.brief()}>"

    def scores(
        self,
        texts: Sequence[str] | Texts,
        pairs: Sequence[str] | None = None,
        *,
        fast: bool = False,
        observer: Callable[[Event], None] = silent,
    ) -> NDArray[np.float32]:
        """Return the probabilities of each label, float32[texts, labels].

        fast: in bf16, where the model can and where that was measured to pay; `observer` is told which it is.
        """
        given = checked(columns_of(texts, pairs), self.pairs)
        with self.context(fast=fast, observer=observer) as context:
            return self.raw_scores(given, context)

    @contextmanager
    def context(self, *, fast: bool = False, observer: Callable[[Event], None] = silent) -> Iterator[RunContext]:
        """Yield a context to score texts in, for as long as the block lasts."""
        with tempfile.TemporaryDirectory(prefix="textclf-") as work:
            yield RunContext(0, Path(work), observer, "predict", cache=self.cache, offline=True, fast=fast)

    def raw_scores(self, texts: Texts, context: RunContext) -> NDArray[np.float32]:
        """As `scores`, for texts in a context that already stands."""
        import numpy as np

        if len(texts) == 0:
            return np.zeros((0, len(self.labels)), np.float32)
        return self.scores_of(self.features(texts, context), len(texts), context)

    def scores_of(self, features: Any, texts: int, context: RunContext) -> NDArray[np.float32]:
        """As `scores`, for what the encoder made of so many texts."""
        trainer = self.steps["trainer"]
        scores = trainer.call("scores", lambda: self.model.scores(features, context))
        return check_scores(scores, texts, self.labels, trainer)

    def features(self, texts: Texts, context: RunContext) -> Any:
        """Return what the encoder makes of texts, which are cleaned first, in a context that already stands."""
        encoder, cleaned = self.steps["encoder"], clean(texts, self.cleaning)
        features = encoder.call("encode", lambda: self.encoder.encode(cleaned, context))
        return check_features(features, len(texts), encoder)

    def decide(self, scores: NDArray[np.float32]) -> NDArray[np.int64] | NDArray[np.bool_]:
        """Return the decided columns, int64[n] with -1 for abstentions, or bool[n, labels] for multi-label tasks."""
        return self.decision.decide(scores, self.labels)

    def predict(
        self, texts: Sequence[str] | Texts, pairs: Sequence[str] | None = None, *, fast: bool = False
    ) -> Answers:
        """Predict every text, in order; the list shows itself as a table in a notebook.

        pairs: the second texts, for a classifier of pairs; textclf.Texts(texts, pairs) are both in one.
        """
        return self.predictions(self.scores(texts, pairs, fast=fast))

    def predict_one(self, text: str, pair: str | None = None) -> Prediction:
        if self.pairs and pair is None:
            raise DataError("this classifier was trained on pairs of texts; give both: predict_one(text, pair)")
        return self.predict([text], None if pair is None else [pair])[0]

    def stream(
        self,
        texts: Iterable[str | tuple[str, str]],
        *,
        fast: bool = False,
        window: int = WINDOW.texts,
        observer: Callable[[Event], None] = silent,
    ) -> Iterator[Prediction]:
        """Predict any number of texts, or of pairs, in order and in flat memory.

        So many texts as make a window are scored together, sorted by length. The first windows are small, so that
        the first predictions come soon. fast, observer: see `scores`.
        """
        given, done = column_of(texts, "stream takes texts one after the other"), 0
        bounds = replace(WINDOW, texts=max(1, window))
        with self.context(fast=fast, observer=observer) as context:
            for chunk in bounds.cut(given):
                yield from self.predictions(self.raw_scores(self.texts_of(chunk, done), context))
                done += len(chunk)

    def explain(
        self,
        texts: str | Sequence[str] | Texts,
        label: str | None = None,
        pairs: str | Sequence[str] | None = None,
        *,
        method: str = "auto",
        observer: Callable[[Event], None] = silent,
    ) -> Explanations:
        """Say what each word of the texts, as they are after cleaning, contributed to a label's logit, in order.

        Return a list, also of a single text, that a notebook shows with the words marked.

        label: the one to explain; else each that is decided on, or the most probable one where none is. method:
        "exact" (weights of linear models), "gradients" (integrated gradients of networks), "occlusion" (words are
        deleted one by one, which explains any model), or "auto", the first of these that there is.
        """
        from ..data.explanation import Explanations
        from .explain import ExplainInputs, ExplanationRequest, checked_method, explain

        requested = checked_method(method)
        column = None if label is None else self.labels.index(label)
        texts, pairs = [texts] if isinstance(texts, str) else texts, [pairs] if isinstance(pairs, str) else pairs
        given = checked(columns_of(texts, pairs, "explain takes a text, or a list of texts"), self.pairs)
        cleaned, bare = clean(given, self.cleaning), replace(self, cleaning=())
        with self.context(observer=observer) as context:
            scores = bare.raw_scores(cleaned, context)
            parts = ExplainInputs(
                self.labels, self.encoder, self.model, (self.steps["encoder"], self.steps["trainer"]),
                lambda texts: bare.raw_scores(texts, context), context,
            )  # fmt: skip
            chosen = [self._decided(row) if column is None else [column] for row in scores]
            requests = [
                ExplanationRequest(row, c, shortest(scores[row, c]))
                for row, columns in enumerate(chosen)
                for c in columns
            ]
            return Explanations(explain(parts, cleaned, requests, requested))

    def texts_of(self, rows: Sequence[Any], done: int = 0) -> Texts:
        """Return rows, texts or pairs of texts, as Texts; a DataError names the first, behind `done`, that is none."""
        return rows_of(rows, self.pairs, done)

    def save(self, folder: str | Path, *, observer: Callable[[Event], None] = silent) -> Path:
        """Write the model folder, whole or not at all; an existing one is never overwritten.

        observer: told where what is saved cannot be read back, or is a pickle.
        """
        for message in self.write(folder).warnings:
            observer(Warned(message=message, stage="save"))
        return Path(folder)

    def write(self, folder: str | Path) -> Saved:
        """As `save`; return what was written, and what is wrong with it."""
        folder, written = Path(folder), []
        if folder.exists():
            raise ArtefactError(f"{folder} exists already; a saved model is never overwritten")
        with disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        write_folder(folder, lambda part: written.append(self._write(part)))
        return written[0]

    @classmethod
    def load(cls, folder: str | Path, registry: Registry, cache: Path | None = None) -> Classifier:
        """Read a model folder: everything in it must be as it was written, and its plugins must be installed.

        cache: the folder shared between processes, where measurements of this machine are kept.
        """
        folder = Path(folder)
        about = _about(folder)
        try:
            labels = Labels(tuple(about["labels"]["names"]), about["labels"]["task"], about["labels"]["positive"])
            saved = about["components"]
            steps = {kind: restored_step(kind, saved[kind], registry) for kind in ("encoder", "trainer")}
            cleaning, decision = tuple(about["clean"]), Decision(**about["decide"])
            pairs = bool(about["pairs"])
            metrics = tuple(dict(saved) for saved in about.get("metrics", ()))
        except KeyError as error:
            raise ArtefactError(f"{folder / FILE} lacks {error}: it is damaged, or not of textclf's writing") from None
        except (TypeError, ValueError, AttributeError, DataError) as error:
            raise ArtefactError(f"{folder / FILE} is damaged, or not of textclf's writing: {error}") from None
        encoder = steps["encoder"].restore(folder)
        steps["encoder"], trainer = note_rebuilt(steps["encoder"], steps["trainer"], about["files"])
        steps["trainer"] = trainer
        model = trainer.call("restore", lambda: trainer.build().restore(folder, encoder, labels))
        trainer.require("restore", model, MODEL, "Model")
        return cls(labels, encoder, model, steps, cleaning, decision, pairs, cache, metrics)  # type: ignore[arg-type]

    def _write(self, folder: Path) -> Saved:
        saved = save_parts(self.encoder, self.model, self.steps, folder)
        about = {
            "format": FORMAT,
            "labels": {"names": self.labels.names, "task": self.labels.task, "positive": self.labels.positive},
            "pairs": self.pairs,
            "clean": self.cleaning,
            "decide": {"threshold": self.decision.threshold, "abstain_below": self.decision.abstain_below},
            "components": {kind: step.to_json() for kind, step in self.steps.items()},
            "metrics": self.metrics,
            "files": saved.files,
        }
        # As escapes, since a label may hold what UTF-8 cannot.
        (folder / FILE).write_text(json.dumps(about, indent=1), encoding="utf-8")
        return saved

    def _decided(self, scores: NDArray[np.float32]) -> list[int]:
        """Return the columns that are decided on for one text, or else the most probable one."""
        decided = self.decide(scores[None])[0]
        columns = decided.nonzero()[0].tolist() if self.labels.task == "multi-label" else [int(decided)]
        return columns if columns and columns[0] >= 0 else [int(scores.argmax())]

    def predictions(self, scores: NDArray[np.float32]) -> Answers:
        """Return what scores, float32[texts, labels], say of each text."""
        return Answers(answers(scores, self.decide(scores), self.labels))


def _about(folder: Path) -> dict[str, Any]:
    if not (folder / FILE).is_file():
        raise ArtefactError(f"{folder} is no model of textclf's: it has no {FILE}")
    about = read_json(folder / FILE)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        version = about.get("format") if isinstance(about, dict) else None
        raise ArtefactError(f"{folder / FILE} has format {version!r}; this textclf reads format {FORMAT}")
    reason = digest_error(folder, about.get("files"))
    if reason:
        raise ArtefactError(f"{folder}: {reason}; train again, or copy the model folder again")
    return about
