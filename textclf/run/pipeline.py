"""The stages of a run, as functions from plan, values and context to values. None of them makes a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..data.cleaning import clean, strings_digest, texts_digest
from ..data.dataset import Dataset, Labels, Split, Texts, unlike_traits, unsound
from ..data.predictions import Decision, Encoded, Predictions
from ..errors import DataError, PluginError, RecipeError, kind_of
from ..evaluation import metrics
from ..evaluation.evaluate import tune
from ..model.classifier import Classifier, silent
from ..model.self_check import same_as_kept
from ..plugin.context import Judge, RunContext
from ..plugin.protocols import Encoder, Judgement, Metric, Model
from ..plugin.step import MODEL
from ..plugin.validation import check_features, check_scores
from ..recipe.plan import Plan
from . import feature_cache
from .splitting import Parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def load(plan: Plan, data: Dataset | None, context: RunContext) -> Dataset:
    """Return the dataset, checked, with its texts cleaned."""
    if data is None:
        if plan.dataset is None:
            raise RecipeError("the recipe has no dataset step, and no data was given in its place")
        step = plan.dataset
        provider = step.build()
        data = step.call("load", lambda: provider.load(context))
        if not isinstance(data, Dataset):
            raise step.error(f"load returned {kind_of(data)}, not a textclf.Dataset")
        reason = step.call("load", partial(unsound, data)) or unlike_traits(data, step.traits.pairs)
        if reason:
            raise step.error(f"load returned a dataset whose {reason}")
    else:
        reason = unsound(data)
        if reason:
            raise DataError(f"the given dataset's {reason}")
    plan.check_data(data.labels.task, data.train.texts.pairs)
    _check_decision(plan, data.labels)
    return clean_dataset(data, plan.settings.clean)


def _check_decision(plan: Plan, labels: Labels) -> None:
    """Refuse a decision that the data's labels would silently leave without effect."""
    settings = plan.settings.decide
    if settings.threshold is not None and labels.task == "single-label" and len(labels) != 2:
        raise RecipeError(
            f"decide.threshold: cuts the score of one of two labels, or of each in a multi-label task, but the data "
            f"has {len(labels)} single labels; remove it"
        )
    if settings.abstain_below > 0 and labels.task == "multi-label":
        raise RecipeError("decide.abstain_below: is for single labels, but the data is multi-label; remove it")


def clean_dataset(dataset: Dataset, steps: tuple[str, ...]) -> Dataset:
    """Clean every text of every split in the same way."""
    changed: dict[str, Any] = {
        name: replace(split, texts=clean(split.texts, steps), labels=_labels(split))
        for name, split in dataset.splits().items()
    }
    if dataset.unlabelled is not None:
        changed["unlabelled"] = clean(dataset.unlabelled, steps)
    return replace(dataset, **changed)


def _labels(split: Split) -> NDArray[np.int64] | NDArray[np.bool_]:
    """Return the labels in one type, whatever width the provider's integers have."""
    import numpy as np

    return split.labels if split.labels.dtype == np.bool_ else split.labels.astype(np.int64)


def digests(parts: Parts) -> dict[str, str]:
    """Return what tells one split from another: a digest of each split's texts, labels and ids."""
    found = {
        name: strings_digest([texts_digest(split.texts), split.labels.tobytes().hex(), *split.ids])
        for name, split in parts.splits().items()
    }
    return found if parts.unlabelled is None else {**found, "unlabelled": texts_digest(parts.unlabelled)}


@dataclass(frozen=True, slots=True)
class EncodedParts:
    """The fitted encoder and the features of each split."""

    encoder: Encoder
    splits: Mapping[str, Encoded]


def encode(plan: Plan, parts: Parts, context: RunContext) -> EncodedParts:
    """Fit the encoder on the training split and encode every split, from the cache where that was done before."""
    step = plan.encoder
    encoder: Encoder = step.build()
    # Of labels each plugin gets its own: one that writes into them changes what no other sees.
    own = replace(parts.train, labels=parts.train.labels.copy())
    step.call("fit", lambda: encoder.fit(own, context))
    fingerprint = step.call("fingerprint", encoder.fingerprint)
    if not isinstance(fingerprint, str):
        raise step.error(f"fingerprint returned {kind_of(fingerprint)}, not a str")
    # Two plugins may well use the same words for different features, and so may a file that is being written.
    plugin = step.plugin
    key = ":".join([plugin.module, *([plugin.sha256] if plugin.sha256 else []), fingerprint]) if fingerprint else ""

    doubt = _Doubt(plan, encoder, context, fingerprint)

    def features(texts: Texts) -> Any:
        make = partial(_encode, plan, encoder, texts, context)
        return feature_cache.features(context.cache, key, texts, make, partial(doubt.sound, texts))

    encoded = {name: Encoded(features(split.texts), split.labels) for name, split in parts.splits().items()}
    if parts.unlabelled is not None:
        encoded["train"] = replace(encoded["train"], unlabelled=features(parts.unlabelled))
    return EncodedParts(encoder, encoded)


@dataclass(slots=True)
class _Doubt:
    """Whether the features that other runs kept are those of this encoder; told: whether it was said that not."""

    plan: Plan
    encoder: Encoder
    context: RunContext
    fingerprint: str
    told: bool = False

    def sound(self, texts: Texts, kept: Any) -> bool:
        step = self.plan.encoder
        quiet = replace(self.context, emit=silent)
        try:
            sound = same_as_kept(kept, texts, lambda some: _encode(self.plan, self.encoder, some, quiet))
        except PluginError:
            sound = False  # what fails for a few texts may be said of all of them
        if not sound and not self.told:
            self.told = True
            self.context.warn(
                f"{step}: the features in the cache are not those that encode makes of the same texts, though its "
                f"fingerprint is the same, '{self.fingerprint[:40]}'; they are made anew, but name in fingerprint() "
                f"all that they depend on, also the seed{step.plugin.hint(step.name)}"
            )
        return sound


def _encode(plan: Plan, encoder: Encoder, texts: Texts, context: RunContext) -> Any:
    step = plan.encoder
    features = step.call("encode", lambda: encoder.encode(texts, context))
    return check_features(features, len(texts), step)


def build_metrics(plan: Plan) -> dict[str, Metric]:
    return {step.name: metrics.CheckedMetric(step) for step in plan.metrics}


def judge_of(plan: Plan, parts: Parts, found: Mapping[str, Metric]) -> Judge | None:
    """Return what `context.judge` answers with: the recipe's metrics on the validation split, or None without one."""
    split = parts.validation
    if split is None:
        return None
    decision = fixed_decision(plan)

    def judging(scores: NDArray[np.float32]) -> Judgement:
        checked = check_scores(scores, len(split), parts.labels, plan.trainer)
        return metrics.judge(found, plan.select, predictions(parts, split, checked, decision))

    return judging


def train(plan: Plan, parts: Parts, encoded: EncodedParts, context: RunContext) -> Model:
    """Train a model on the training split; the validation split is there only where somebody reads it."""
    step = plan.trainer
    trainer = step.build()
    own = {name: replace(split, labels=split.labels.copy()) for name, split in encoded.splits.items()}
    model: Model = step.call(
        "train", lambda: trainer.train(encoded.encoder, own["train"], own.get("validation"), parts.labels, context)
    )
    step.require("train", model, MODEL, "Model")
    return model


def fixed_decision(plan: Plan) -> Decision:
    """Return the recipe's decision, a tuned threshold left open."""
    decide = plan.settings.decide
    return Decision(None if decide.threshold == "tuned" else decide.threshold, decide.abstain_below)


def decide(
    plan: Plan, parts: Parts, validation_scores: NDArray[np.float32] | None, found: Mapping[str, Metric]
) -> Decision:
    """Return the decision: as the recipe says it, or tuned on the validation split."""
    if plan.settings.decide.threshold != "tuned" or parts.validation is None or validation_scores is None:
        return fixed_decision(plan)
    undecided = predictions(parts, parts.validation, validation_scores, Decision())
    return tune(undecided, found, plan.select, plan.settings.decide.abstain_below)


def score(
    plan: Plan, parts: Parts, encoded: EncodedParts, name: str, model: Model, context: RunContext
) -> NDArray[np.float32]:
    """Return the model's scores of one split, checked."""
    step, split = plan.trainer, encoded.splits[name]
    scores = step.call("scores", lambda: model.scores(split.features, context))
    return check_scores(scores, len(split.labels), parts.labels, step)


def predictions(parts: Parts, split: Split, scores: NDArray[np.float32], decision: Decision) -> Predictions:
    truth, decided, scored = map(_fixed, (split.labels, decision.decide(scores, parts.labels), scores))
    return Predictions(parts.labels, truth, decided, scored, split.texts, split.ids, split.groups)


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that no metric or output can write into: all read the same."""
    view = array.view()
    view.flags.writeable = False
    return view


def classifier(plan: Plan, parts: Parts, encoded: EncodedParts, model: Model, decision: Decision) -> Classifier:
    steps: Any = {"encoder": plan.encoder, "trainer": plan.trainer}
    pairs = parts.train.texts.pairs
    judged_by = tuple(step.to_json() for step in plan.metrics)
    cleaning = plan.settings.clean
    return Classifier(parts.labels, encoded.encoder, model, steps, cleaning, decision, pairs, metrics=judged_by)
