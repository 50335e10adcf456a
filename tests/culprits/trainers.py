"""Trainers, and models of theirs, that break one clause each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from textclf import ArtefactError, Encoded
from textclf.testing.checks.subject import dense
from textclf.testing.toy import ToyLinear, ToyModel

from .making import Culprit, wrong

QUICK = {"epochs": 20}


def trainer(made: type[ToyLinear]) -> Culprit:
    return wrong("trainer", made, given=QUICK)


class Turned:
    """A right model, turned wrong by what `turn` does to its scores."""

    def __init__(self, model: ToyModel, turn: Callable[[Any], Any]) -> None:
        self.model, self.turn = model, turn

    def scores(self, features: Any, context: Any) -> Any:
        return self.turn(self.model.scores(features, context))

    def save(self, folder: Any) -> None:
        self.model.save(folder)


def turned(turn: Callable[[Any], Any]) -> Culprit:
    class Turning(ToyLinear):
        def train(self, *given: Any) -> Any:
            return Turned(super().train(*given), turn)

        def restore(self, *given: Any) -> Any:
            return Turned(super().restore(*given), turn)

    return trainer(Turning)


def shifted(draw: Callable[[Any, Any], np.random.Generator]) -> Culprit:
    """Return a trainer whose weights are moved a little by what is drawn, given the labels and the context."""

    class Shifting(ToyLinear):
        def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
            model = super().train(encoder, train, validation, labels, context)
            model.weights = model.weights + draw(labels, context).normal(0, 1e-3, model.weights.shape)
            return model

    return trainer(Shifting)


class Greedy(ToyLinear):
    def train(self, encoder: Any, train: Any, *rest: Any) -> Any:
        train.features[0, 0] += 1
        return super().train(encoder, train, *rest)


class Forgetful(ToyLinear):
    def restore(self, *given: Any) -> Any:
        model = super().restore(*given)
        model.weights = model.weights * 0.5
        return model


class Strewn(ToyModel):
    """Saves its weights where the encoder's files lie."""

    def save(self, folder: Any) -> None:
        np.save(folder / "weights.npy", self.weights, allow_pickle=False)


class Strewing(ToyLinear):
    def train(self, *given: Any) -> Any:
        model = super().train(*given)
        return Strewn(model.weights, model.task)

    def restore(self, folder: Any, encoder: Any, labels: Any) -> Any:
        weights = np.load(folder / "weights.npy", allow_pickle=False)
        if weights.shape[1] != len(labels):
            raise ArtefactError("the labels are others")
        return Strewn(weights, labels.task)


class Pickled(ToyModel):
    def save(self, folder: Any) -> None:
        super().save(folder)
        (folder / "trainer" / "model.joblib").write_bytes(b"\x80\x04.")


class Pickling(ToyLinear):
    def train(self, *given: Any) -> Any:
        model = super().train(*given)
        return Pickled(model.weights, model.task)


class Dense(ToyLinear):
    """Counts columns in a mean, which of a csr_matrix is a matrix of one row."""

    def train(self, encoder: Any, train: Any, *rest: Any) -> Any:
        model = super().train(encoder, train, *rest)
        model.weights = model.weights * len(train.features.mean(axis=0)) / train.features.shape[1]
        return model


class Stubborn(ToyLinear):
    def _keep(self, state: Any, context: Any) -> None:
        context.stopping()


class Rough(ToyLinear):
    """Loses a little where it begins again."""

    def _begin(self, *given: Any) -> Any:
        state = super()._begin(*given)
        return replace(state, weights=state.weights.astype(np.float32).astype(np.float64)) if state.epoch else state


class Hoarding(ToyLinear):
    """Keeps a pickle beside each checkpoint's arrays."""

    def _keep(self, state: Any, context: Any) -> None:
        store = context.checkpoints
        if store is None:
            return super()._keep(state, context)

        def save(step: int, write: Any) -> None:
            store.save(step, lambda folder: (write(folder), (folder / "state.pkl").write_bytes(b"\x80\x04.")))

        return super()._keep(state, SimpleNamespace(checkpoints=SimpleNamespace(save=save), stopping=context.stopping))


class Trusting(ToyLinear):
    def restore(self, folder: Any, encoder: Any, labels: Any) -> Any:
        return ToyModel(np.load(folder / "trainer" / "toy_linear.npy", allow_pickle=False), labels.task)


class Unsaved(Turned):
    save = None


class Fleeting(ToyLinear):
    def train(self, *given: Any) -> Any:
        return Unsaved(super().train(*given), lambda scores: scores)


def alone(scores: Any) -> Any:
    """Move scores towards each other where a text comes alone."""
    return scores if len(scores) > 1 else (scores * 0.9 + 0.1 / scores.shape[1]).astype(np.float32)


class Shifting(ToyLinear):
    """Gives a column to each label that it sees, in their order, and none to others."""

    def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
        if train.labels.ndim == 2:
            return super().train(encoder, train, validation, labels, context)
        seen, inverse = np.unique(train.labels, return_inverse=True)
        model = super().train(encoder, replace(train, labels=inverse), validation, labels, context)
        return ToyModel(model.weights[:, : len(seen)], model.task)


class Curious(ToyLinear):
    """Learns from the validation texts, too."""

    def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
        features = [dense(split.features) for split in (train, validation)]
        both = np.concatenate(features), np.concatenate([train.labels, validation.labels])
        return super().train(encoder, Encoded(*both), None, labels, context)


TRAINERS: dict[str, Culprit] = {
    "trainer.learns": turned(lambda scores: np.roll(scores, 1, axis=1)),
    "trainer.model": trainer(Fleeting),
    "trainer.scores": turned(lambda scores: scores.astype(np.float64)),
    "trainer.neighbours": turned(alone),
    "trainer.repeats": shifted(lambda labels, context: np.random.default_rng()),
    "trainer.names": shifted(lambda labels, context: np.random.default_rng(sum(map(ord, "".join(labels.names))))),
    "trainer.input": trainer(Greedy),
    "trainer.absent": trainer(Shifting),
    "trainer.validation": wrong("trainer", Curious, given={**QUICK, "keep": "best"}),
    "trainer.files": trainer(Strewing),
    "trainer.restore": trainer(Forgetful),
    "trainer.pickle": trainer(Pickling),
    "trainer.sparse": trainer(Dense),
    "trainer.stopping": trainer(Stubborn),
    "trainer.resume": trainer(Rough),
    "trainer.checkpoints": trainer(Hoarding),
    "trainer.labels": trainer(Trusting),
}
