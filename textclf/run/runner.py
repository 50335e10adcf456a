"""One run, from its plan to its finished folder: the stages in order."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.dataset import Dataset
from ..errors import ArtefactError, Stopped
from ..evaluation.evaluate import Evaluation, evaluate, learned, report, sizes_of
from ..evaluation.metrics import judge
from ..evaluation.report import Report
from ..files import clear_parts
from ..model.classifier import Classifier
from ..model.self_check import check_saved_model
from ..plugin.context import RunContext
from ..plugin.events import CheckpointSaved, Event, RunFinished, RunStarted, Warned
from ..plugin.options import options_as_json
from ..plugin.protocols import Finished
from ..plugin.step import validate_options
from ..recipe.plan import Plan
from . import pipeline, splitting
from .checkpoints import CheckpointStore
from .folder import EVENTS, RunFolder
from .journal import Journal, event_file, recorded
from .outputs import write_outputs
from .pipeline import Components
from .predictions_file import write_predictions
from .splitting import DataSplits


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """What a run needs beside its plan and its folder.

    load: reads a model folder. hints: by the name of an observer, what to do if it fails.
    """

    observers: Sequence[tuple[str, Callable[[Event], None]]]
    cache: Path | None
    offline: bool
    stopping: Callable[[], bool]
    load: Callable[[Path], Classifier]
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run leaves in memory."""

    report: Report
    classifier: Classifier
    evaluation: Evaluation


def execute(
    plan: Plan,
    folder: RunFolder,
    environment: RunEnvironment,
    *,
    data: Dataset | None = None,
    fold: int | None = None,
    allow_changed: bool = False,
) -> RunResult:
    """Run a plan in its folder; running it again in the same folder resumes it."""
    # Files are written by absolute paths, since a plugin may change the current folder; events and messages name the
    # folder as the user does.
    here = replace(folder, path=folder.path.absolute())
    began = time.perf_counter()
    with folder.locked(), event_file(here.path / EVENTS) as (past, append):
        journal = Journal(list(environment.observers), append, past, environment.hints, run=str(folder.path))
        with recorded(here, journal, str(folder.path)):
            clear_parts(here.path)
            if here.state != "running":
                here.update(state="running", error=None)
            journal.emit(RunStarted(name=folder.name, folder=str(folder.path), resumed=bool(past)))
            context = RunContext(
                plan.settings.seed, here.work, journal.emit, cache=environment.cache and environment.cache.absolute(),
                offline=environment.offline, stopping=environment.stopping, steps=plan.described(),
            )  # fmt: skip
            for warning in plan.warnings:
                journal.emit(Warned(message=warning))
            run = _Run(plan, here, journal, context, environment.load, fold, allow_changed)
            result = run.stages(data)
            run.finish(result.report, time.perf_counter() - began)
            values = {name: estimate.value for name, estimate in result.report.metrics.items()}
            seconds = time.perf_counter() - began
            journal.emit(RunFinished(folder=str(folder.path), metrics=values, seconds=seconds))
            if len(journal.warnings) > len(result.report.warnings):  # an observer has failed at this very event
                result = replace(result, report=replace(result.report, warnings=tuple(journal.warnings)))
                run.finish(result.report, seconds)
            return result


@dataclass(frozen=True, slots=True)
class _Run:
    """The stages of one run, which share its plan, folder, journal and context."""

    plan: Plan
    folder: RunFolder
    journal: Journal
    context: RunContext
    load: Callable[[Path], Classifier]
    fold: int | None
    allow_changed: bool

    def stages(self, data: Dataset | None) -> RunResult:
        plan, journal = self.plan, self.journal
        # Before any data is loaded: what cannot be built ends the run in its first second.
        components = pipeline.build(plan)
        metrics = components.metrics
        with journal.stage("load") as notes:
            context = self.context.at("load", plan.dataset.name if plan.dataset else "data")
            dataset = pipeline.load(plan, components, data, context)
            notes.update(sizes_of(dataset.splits()))
        self._stop_if_requested()
        with journal.stage("split") as notes:
            splits = self._split(dataset, notes)
        with journal.stage("encode"):
            encoded = pipeline.encode(plan, components, splits, self.context.at("encode", plan.encoder.name))
        self._stop_if_requested()
        with journal.stage("train"):
            model = pipeline.train(plan, components, splits, encoded, self._training(splits, components))
        with journal.stage("evaluate"):
            context = self.context.at("evaluate", plan.trainer.name)
            validation = None
            if splits.validation is not None:
                validation = pipeline.score(plan, splits, encoded, "validation", model, context)
            decision = pipeline.decide(plan, splits, validation, metrics)
            scores = pipeline.score(plan, splits, encoded, "test", model, context)
            predictions = pipeline.predictions(splits, splits.test, scores, decision)
            evaluation = evaluate(predictions, metrics, splits.train.labels, plan.settings.report.draws)
        # The saved model names the options that fix what was chosen, whether the recipe named them or not.
        fixed = record_choices(self.folder, plan, journal.options, self.context.warn)
        classifier = pipeline.classifier(fixed, splits, encoded, model, decision)
        on_validation = {}
        if splits.validation is not None and validation is not None:
            decided = pipeline.predictions(splits, splits.validation, validation, decision)
            on_validation = judge(metrics, plan.select, decided).metrics
        self._save(splits, evaluation, classifier)
        made = self._report(splits, evaluation, on_validation)
        if plan.outputs:
            history, record = journal.history(), dict(self.folder.record)
            finished = Finished(made, evaluation.predictions, history, classifier, fixed.resolved(), record)
            outputs = zip(plan.outputs, components.outputs, strict=True)
            write_outputs(outputs, finished, self.folder, self.context.warn)
        return RunResult(replace(made, warnings=tuple(journal.warnings)), classifier, evaluation)

    def finish(self, report: Report, seconds: float) -> None:
        """Write the report and, last, that the run is finished."""
        journal = self.journal
        report.save(self.folder.path)
        self.folder.update(
            state="finished", error=None, seconds=round(seconds, 3), stages=journal.stages, choices=journal.choices,
            warnings=journal.warnings, accounts=journal.accounts, forecasts=journal.forecasts,
        )  # fmt: skip
        # The model is saved: checkpoints of several times its size are of no more use.
        shutil.rmtree(self.folder.checkpoints, ignore_errors=True)

    def _split(self, dataset: Dataset, notes: dict[str, Any]) -> DataSplits:
        plan, record = self.plan, self.folder.record
        splits = splitting.split(
            dataset, plan.settings.split, validate=plan.uses_validation, unlabelled=plan.uses_unlabelled,
            fold=self.fold, warn=self.context.at("split").warn,
        )  # fmt: skip
        now = pipeline.digests(splits)
        before = record.get("splits") or _digests(self.journal.notes.get("split", {}))
        if before and before != now and not self.allow_changed:
            changed = ", ".join(name for name in {**before, **now} if before.get(name) != now.get(name))
            raise ArtefactError(
                f"the data has changed since this run began ({changed}); run the recipe again, or resume with "
                f"--allow-changed"
            )
        self.folder.write_training_keys(splits.train_keys)
        sizes = sizes_of(splits.splits())
        # The record is written when the run ends; until then the journal has the digests, for a run that is killed.
        notes.update(sizes, **{f"{name}{_DIGEST}": digest for name, digest in now.items()})
        about = {"source": dataset.source, "licence": dataset.licence, "sizes": sizes}
        record.update(splits=now, data=about, split=splits.notes, positive=splits.labels.positive)
        return splits

    def _training(self, splits: DataSplits, components: Components) -> RunContext:
        def saved(step: int, path: Path) -> None:
            self.journal.emit(CheckpointSaved(step=step, folder=str(path)))

        context = self.context.at("train", self.plan.trainer.name)
        store = CheckpointStore(self.folder.checkpoints, context.warn, saved)
        judging = pipeline.judge_of(self.plan, splits, components.metrics)
        return replace(context, checkpoints=store, judging=judging)

    def _save(self, splits: DataSplits, evaluation: Evaluation, classifier: Classifier) -> None:
        with self.journal.stage("save"):
            write_predictions(self.folder.path, evaluation.predictions, texts=self.plan.settings.report.texts)
            # A model that stands there is of an earlier try, which ended before the run was finished.
            shutil.rmtree(self.folder.model, ignore_errors=True)
            saved = classifier.write(self.folder.model)
            for message in saved.warnings:
                self.journal.emit(Warned(message=message, stage="save"))
            # A part that nothing reads back explains any difference that follows from it.
            texts = splits.test.texts
            wrong = "" if saved.unread else check_saved_model(classifier, self.folder.model, self.load, texts)
            if wrong:
                self.journal.emit(Warned(message=wrong, stage="save"))

    def _report(self, splits: DataSplits, evaluation: Evaluation, on_validation: Mapping[str, float]) -> Report:
        settings, journal = self.plan.settings, self.journal
        return report(
            self.folder.name, evaluation, sizes_of(splits.splits()), gates=settings.gates, validation=on_validation,
            draws=settings.report.draws, split=splits.notes, stages=dict(journal.stages),
            tokens_per_second=journal.accounts.get("train", {}).get("tokens_per_second", journal.tokens_per_second),
            accounts=journal.accounts, objectives=learned(journal.history()), choices=journal.choices,
            warnings=tuple(journal.warnings),
        )  # fmt: skip

    def _stop_if_requested(self) -> None:
        if self.context.stopping():
            raise Stopped("stopped before training; `textclf resume` starts it again")


_DIGEST = "_digest"


def _digests(notes: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of splits that the notes of a split stage hold, by split."""
    return {name.removesuffix(_DIGEST): str(value) for name, value in notes.items() if name.endswith(_DIGEST)}


def record_choices(folder: RunFolder, plan: Plan, options: Mapping[str, Any], warn: Callable[[str], None]) -> Plan:
    """Return the plan with the options that fix the run's choices; where it changes, write the run's recipe again."""
    fixed = with_options(plan, options, warn)
    if fixed != plan:
        folder.replace_recipe(fixed.resolved())
    return fixed


def with_options(plan: Plan, options: Mapping[str, Any], warn: Callable[[str], None]) -> Plan:
    """Return the plan with some options of its steps changed, {"trainer.precision": "bf16"}.

    An option that a step does not have, or a value that it refuses, is a warning: the run has come this far.
    """
    for place, value in options.items():
        kind, _, name = place.partition(".")
        step = {"dataset": plan.dataset, "encoder": plan.encoder, "trainer": plan.trainer}.get(kind)
        before = {} if step is None else options_as_json(step.options)
        if step is None or name not in before:
            warn(f"a choice names the option '{place}', which the recipe does not have; it is left out of the recipe")
            continue
        changed, problems = validate_options(step.registration, {**before, name: value})
        if changed is None:
            warn(f"a choice cannot be written into the recipe: {'; '.join(str(p.under(kind)) for p in problems)}")
            continue
        plan = replace(plan, **{kind: replace(step, options=changed)})  # type: ignore[arg-type]
    return plan
