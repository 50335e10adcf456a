"""Owns the Classifier: encoder, model, labels, cleaning and decision; it predicts, saves and loads."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data.dataset import Labels, Texts
from .data.predictions import Decision, named
from .data.text import clean
from .durable import differs, manifest, read_json, write_folder
from .errors import ArtefactError, DataError, PluginError
from .hooks.components import Kind
from .hooks.context import RunContext
from .hooks.contracts import Encoder, Model
from .hooks.events import Event
from .hooks.registry import Registry
from .recipe.plan import Step, restored_step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "textclf.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one text.

    label: the decided label, None for an abstention; for multi-label tasks a tuple of labels. score: the probability
    of the decided label (of the best one for an abstention; None for multi-label tasks).
    """

    label: str | tuple[str, ...] | None
    score: float | None
    scores: Mapping[str, float]


def silent(event: Event) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained classifier. `steps` say from which components it was made, so that it can be saved and loaded."""

    labels: Labels
    encoder: Encoder
    model: Model
    steps: Mapping[Kind, Step[Any]]
    cleaning: tuple[str, ...] = ()
    decision: Decision = field(default_factory=Decision)
    pairs: bool = False

    def scores(self, texts: Sequence[str] | Texts, pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Return the probabilities of each label, float32[texts, labels]."""
        given = texts if isinstance(texts, Texts) else Texts(texts, pairs)
        self._check(given)
        with tempfile.TemporaryDirectory(prefix="textclf-") as work:
            return self.raw_scores(given, RunContext(0, Path(work), silent, "predict", offline=True))

    def raw_scores(self, texts: Texts, context: RunContext) -> NDArray[np.float32]:
        """As `scores`, for texts in a context that already stands."""
        import numpy as np

        if len(texts) == 0:
            return np.zeros((0, len(self.labels)), np.float32)
        features = self.encoder.encode(clean(texts, self.cleaning), context)
        return checked_scores(self.model.scores(features, context), len(texts), self.labels, self.steps["trainer"])

    def decide(self, scores: NDArray[np.float32]) -> NDArray[np.int64] | NDArray[np.bool_]:
        """Return the decided columns, int64[n] with -1 for abstentions, or bool[n, labels] for multi-label tasks."""
        return self.decision.decide(scores, self.labels)

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Prediction]:
        """Predict every text, in order."""
        return self._predictions(self.scores(texts, pairs))

    def predict_one(self, text: str, pair: str | None = None) -> Prediction:
        return self.predict([text], None if pair is None else [pair])[0]

    def stream(self, texts: Iterable[str | tuple[str, str]], *, batch: int = 1024) -> Iterator[Prediction]:
        """Predict any number of texts, or of pairs, in order and in flat memory."""
        source = iter(texts)
        while chunk := list(itertools.islice(source, batch)):
            if isinstance(chunk[0], str):
                yield from self.predict([str(text) for text in chunk])
            else:
                yield from self.predict([text[0] for text in chunk], [text[1] for text in chunk])

    def save(self, folder: str | Path) -> Path:
        """Write the model folder, whole or not at all; an existing one is never overwritten."""
        folder = Path(folder)
        if folder.exists():
            raise ArtefactError(f"{folder} exists already; a saved model is never overwritten")
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_folder(folder, self._write)
        return folder

    @classmethod
    def load(cls, folder: str | Path, registry: Registry) -> Classifier:
        """Read a model folder: everything in it must be as it was written, and its plugins must be installed."""
        folder = Path(folder)
        about = _about(folder)
        try:
            labels = Labels(tuple(about["labels"]["names"]), about["labels"]["task"], about["labels"]["positive"])
            steps = {kind: restored_step(kind, about["components"][kind], registry) for kind in ("encoder", "trainer")}
            cleaning, decision = tuple(about["clean"]), Decision(**about["decide"])
            pairs = bool(about["pairs"])
        except (KeyError, TypeError) as error:
            raise ArtefactError(f"{folder / FILE} lacks {error}: it is damaged, or not of textclf's writing") from None
        encoder = steps["encoder"].restore(folder)
        model = steps["trainer"].call("restore", lambda: steps["trainer"].build().restore(folder, encoder, labels))
        return cls(labels, encoder, model, steps, cleaning, decision, pairs)  # type: ignore[arg-type]

    def with_decision(self, decision: Decision) -> Classifier:
        return replace(self, decision=decision)

    def _write(self, folder: Path) -> None:
        self.steps["encoder"].call("save", lambda: self.encoder.save(folder))
        self.steps["trainer"].call("save", lambda: self.model.save(folder))
        about = {
            "format": FORMAT,
            "labels": {"names": self.labels.names, "task": self.labels.task, "positive": self.labels.positive},
            "pairs": self.pairs,
            "clean": self.cleaning,
            "decide": {"threshold": self.decision.threshold, "abstain_below": self.decision.abstain_below},
            "components": {kind: step.to_json() for kind, step in self.steps.items()},
            "files": manifest(folder),
        }
        (folder / FILE).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")

    def _check(self, texts: Texts) -> None:
        for column in (texts.first, texts.second or ()):
            if isinstance(column, str):
                raise DataError("predict takes a list of texts; for a single text use predict_one")
            for row, text in enumerate(column):
                if not isinstance(text, str):
                    raise DataError(f"text {row} is a {type(text).__name__}, not a str")
        if texts.pairs != self.pairs:
            wants = "pairs of texts" if self.pairs else "single texts"
            raise DataError(f"this classifier was trained on {wants}; give {'both texts' if self.pairs else 'one'}")

    def _predictions(self, scores: NDArray[np.float32]) -> list[Prediction]:
        found = []
        decided = self.decide(scores)
        for row, label, column in zip(scores, named(decided, self.labels), decided, strict=True):
            by_name = {name: float(score) for name, score in zip(self.labels.names, row, strict=True)}
            if not isinstance(label, str):
                found.append(Prediction(tuple(label), None, by_name))
            elif column < 0:
                found.append(Prediction(None, float(row.max()), by_name))
            else:
                found.append(Prediction(label, float(row[column]), by_name))
        return found


def checked_scores(scores: Any, texts: int, labels: Labels, step: Step[Any]) -> NDArray[np.float32]:
    """Refuse scores that break the contract, naming the plugin, before anything is computed from them."""
    import numpy as np

    def broken(what: str) -> PluginError:
        return PluginError(f"{step}: Model.scores {what}")

    if not isinstance(scores, np.ndarray):
        raise broken(f"returned a {type(scores).__name__}, not an array of float32 [texts, labels]")
    if scores.shape != (texts, len(labels)):
        raise broken(f"returned shape {scores.shape} for {texts} texts and {len(labels)} labels")
    if scores.dtype != np.float32:
        raise broken(f"returned {scores.dtype}, not float32")
    if not np.isfinite(scores).all():
        rows = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        raise broken(f"returned NaN or infinite scores for {len(rows)} texts (the first is text {rows[0]})")
    if scores.size and (scores.min() < -1e-6 or scores.max() > 1 + 1e-6):
        raise broken(f"returned scores from {scores.min():.4g} to {scores.max():.4g}, which are no probabilities")
    if labels.task == "single-label" and scores.size and np.abs(scores.sum(axis=1) - 1).max() > 1e-3:
        raise broken("returned rows that do not sum to 1")
    return scores


def _about(folder: Path) -> dict[str, Any]:
    if not (folder / FILE).is_file():
        raise ArtefactError(f"{folder} is no model of textclf's: it has no {FILE}")
    about = read_json(folder / FILE)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        version = about.get("format") if isinstance(about, dict) else None
        raise ArtefactError(f"{folder / FILE} has format {version!r}; this textclf reads format {FORMAT}")
    reason = differs(folder, about.get("files"))
    if reason:
        raise ArtefactError(f"{folder}: {reason}; train again, or copy the model folder anew")
    return about
