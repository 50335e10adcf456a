"""The stages of a run, as functions from plan, values and context to values. None of them makes a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..data.cleaning import clean, strings_digest, texts_digest
from ..data.dataset import Dataset, Labels, Split, Texts, check_dataset, check_pairs
from ..data.predictions import Decision, Encoded, Predictions
from ..errors import DataError, PluginError, RecipeError, type_name
from ..evaluation.evaluate import tune
from ..evaluation.metrics import CheckedMetric, judge
from ..model.classifier import Classifier
from ..model.self_check import matches_cache
from ..plugin.context import Judge, RunContext
from ..plugin.protocols import DatasetProvider, Encoder, Judgement, Metric, Model, Output, Trainer
from ..plugin.step import MODEL
from ..plugin.validation import check_features, check_scores
from ..recipe.plan import Plan
from . import feature_cache
from .splitting import DataSplits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Components:
    """The objects that the steps of a plan build. dataset: None where the caller passes the data."""

    dataset: DatasetProvider | None
    encoder: Encoder
    trainer: Trainer
    metrics: Mapping[str, Metric]
    outputs: tuple[Output, ...]


def build(plan: Plan) -> Components:
    """Build every component of a plan, each once."""
    dataset = None if plan.dataset is None else plan.dataset.build()
    checked = {step.name: CheckedMetric(step) for step in plan.metrics}
    outputs = tuple(step.build() for step in plan.outputs)
    trainer = plan.trainer.build()
    return Components(dataset, plan.encoder.build(), trainer, checked, outputs)


def load(plan: Plan, components: Components, data: Dataset | None, context: RunContext) -> Dataset:
    """Return the dataset, checked, with its texts cleaned."""
    if data is None:
        step, provider = plan.dataset, components.dataset
        if step is None or provider is None:
            raise RecipeError("the recipe has no dataset step, and no data was passed in its place")
        data = step.call("load", lambda: provider.load(context))
        if not isinstance(data, Dataset):
            raise step.error(f"load returned {type_name(data)}, not a textclf.Dataset")
        reason = step.call("load", partial(check_dataset, data)) or check_pairs(data, step.traits.pairs)
        if reason:
            raise step.error(f"load returned a dataset whose {reason}")
    else:
        reason = check_dataset(data)
        if reason:
            raise DataError(f"the dataset's {reason}")
    plan.check_data(data.labels.task, data.train.texts.pairs)
    _check_decision(plan, data.labels)
    return clean_dataset(data, plan.settings.clean)


def _check_decision(plan: Plan, labels: Labels) -> None:
    """Refuse a decision that would silently have no effect on the data's labels."""
    settings = plan.settings.decide
    if settings.threshold is not None and labels.task == "single-label" and len(labels) != 2:
        raise RecipeError(
            f"decide.threshold: cuts the score of one of two labels, or of each in a multi-label task, but the data "
            f"has {len(labels)} single labels; remove it"
        )
    if settings.abstain_below > 0 and labels.task == "multi-label":
        raise RecipeError("decide.abstain_below: is for single labels, but the data is multi-label; remove it")


def clean_dataset(dataset: Dataset, steps: tuple[str, ...]) -> Dataset:
    """Clean every text of every split by the same steps."""
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


def digests(splits: DataSplits) -> dict[str, str]:
    """Return a digest of each split's texts, labels and ids."""
    found = {
        name: strings_digest([texts_digest(split.texts), split.labels.tobytes().hex(), *split.ids])
        for name, split in splits.splits().items()
    }
    return found if splits.unlabelled is None else {**found, "unlabelled": texts_digest(splits.unlabelled)}


@dataclass(frozen=True, slots=True)
class EncodedSplits:
    """The fitted encoder and the features of each split."""

    encoder: Encoder
    splits: Mapping[str, Encoded]


def encode(plan: Plan, components: Components, splits: DataSplits, context: RunContext) -> EncodedSplits:
    """Fit the encoder on the training split and encode every split, from the cache where that was done before."""
    step, encoder = plan.encoder, components.encoder
    # Each plugin gets labels of its own: one that writes into them changes nothing for the others.
    own = replace(splits.train, labels=splits.train.labels.copy())
    step.call("fit", lambda: encoder.fit(own, context))
    fingerprint = step.call("fingerprint", encoder.fingerprint)
    if not isinstance(fingerprint, str):
        raise step.error(f"fingerprint returned {type_name(fingerprint)}, not a str")
    # Two plugins may use the same fingerprint for different features, and so may two versions of one plugin file.
    plugin = step.plugin
    key = ":".join([plugin.module, *([plugin.sha256] if plugin.sha256 else []), fingerprint]) if fingerprint else ""
    check = CacheCheck(plan, encoder, context, fingerprint)

    def features(texts: Texts) -> Any:
        make = partial(_encode, plan, encoder, texts, context)
        return feature_cache.features(context.cache, key, texts, make, partial(check.passes, texts))

    encoded = {name: Encoded(features(split.texts), split.labels) for name, split in splits.splits().items()}
    if splits.unlabelled is not None:
        encoded["train"] = replace(encoded["train"], unlabelled=features(splits.unlabelled))
    return EncodedSplits(encoder, encoded)


@dataclass(slots=True)
class CacheCheck:
    """Whether cached features are those that this encoder makes; that they are not is warned of once."""

    plan: Plan
    encoder: Encoder
    context: RunContext
    fingerprint: str
    warned: bool = False

    def passes(self, texts: Texts, cached: Any) -> bool:
        step = self.plan.encoder
        quiet = replace(self.context, emit=lambda event: None)
        try:
            same = matches_cache(cached, texts, lambda some: _encode(self.plan, self.encoder, some, quiet))
        except PluginError:
            same = False  # what fails for a few texts may not fail for all of them
        if not same and not self.warned:
            self.warned = True
            self.context.warn(
                f"{step}: the features in the cache are not those that encode makes of the same texts, though its "
                f"fingerprint is the same, '{self.fingerprint[:40]}'; they are made again, but name in fingerprint() "
                f"all that they depend on, also the seed{step.plugin.hint(step.name)}"
            )
        return same


def _encode(plan: Plan, encoder: Encoder, texts: Texts, context: RunContext) -> Any:
    step = plan.encoder
    features = step.call("encode", lambda: encoder.encode(texts, context))
    return check_features(features, len(texts), step)


def judge_of(plan: Plan, splits: DataSplits, metrics: Mapping[str, Metric]) -> Judge | None:
    """Return the function behind `context.judge`: the recipe's metrics on the validation split; None without one."""
    split = splits.validation
    if split is None:
        return None
    decision = fixed_decision(plan)

    def judging(scores: NDArray[np.float32]) -> Judgement:
        checked = check_scores(scores, len(split), splits.labels, plan.trainer)
        return judge(metrics, plan.select, predictions(splits, split, checked, decision))

    return judging


def train(plan: Plan, components: Components, splits: DataSplits, encoded: EncodedSplits, context: RunContext) -> Model:
    """Train a model on the training split; there is a validation split only where something reads it."""
    step, trainer = plan.trainer, components.trainer
    own = {name: replace(split, labels=split.labels.copy()) for name, split in encoded.splits.items()}
    model: Model = step.call(
        "train", lambda: trainer.train(encoded.encoder, own["train"], own.get("validation"), splits.labels, context)
    )
    step.require("train", model, MODEL, "Model")
    return model


def fixed_decision(plan: Plan) -> Decision:
    """Return the recipe's decision, a tuned threshold left open."""
    decide = plan.settings.decide
    return Decision(None if decide.threshold == "tuned" else decide.threshold, decide.abstain_below)


def decide(
    plan: Plan, splits: DataSplits, validation_scores: NDArray[np.float32] | None, metrics: Mapping[str, Metric]
) -> Decision:
    """Return the decision: as the recipe says it, or tuned on the validation split."""
    if plan.settings.decide.threshold != "tuned" or splits.validation is None or validation_scores is None:
        return fixed_decision(plan)
    undecided = predictions(splits, splits.validation, validation_scores, Decision())
    return tune(undecided, metrics, plan.select, plan.settings.decide.abstain_below)


def score(
    plan: Plan, splits: DataSplits, encoded: EncodedSplits, name: str, model: Model, context: RunContext
) -> NDArray[np.float32]:
    """Return the model's scores of one split, checked."""
    step, split = plan.trainer, encoded.splits[name]
    scores = step.call("scores", lambda: model.scores(split.features, context))
    return check_scores(scores, len(split.labels), splits.labels, step)


def predictions(splits: DataSplits, split: Split, scores: NDArray[np.float32], decision: Decision) -> Predictions:
    truth, decided, scored = map(_fixed, (split.labels, decision.decide(scores, splits.labels), scores))
    return Predictions(splits.labels, truth, decided, scored, split.texts, split.ids, split.groups)


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that no metric or output can write into, since all of them read it."""
    view = array.view()
    view.flags.writeable = False
    return view


def classifier(plan: Plan, splits: DataSplits, encoded: EncodedSplits, model: Model, decision: Decision) -> Classifier:
    steps: Any = {"encoder": plan.encoder, "trainer": plan.trainer}
    pairs = splits.train.texts.pairs
    evaluated_by = tuple(step.to_json() for step in plan.metrics)
    cleaning = plan.settings.clean
    return Classifier(splits.labels, encoded.encoder, model, steps, cleaning, decision, pairs, metrics=evaluated_by)
