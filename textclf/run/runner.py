"""One run, from its plan to its finished folder: the stages in order."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.dataset import Dataset, Labels, Task, Texts
from ..data.predictions import Predictions
from ..errors import ArtefactError, Cancelled, PluginError, ResourceError, Stopped, TextclfError
from ..evaluation.evaluate import Evaluation, evaluate, learned, report, sizes_of
from ..evaluation.metrics import CheckedMetric, bootstrap, judge, measure
from ..evaluation.report import Report
from ..files import digest, disk_errors, write_text
from ..model.classifier import Classifier
from ..model.folder import Saved
from ..model.self_check import unlike
from ..plugin.context import RunContext
from ..plugin.events import CheckpointSaved, Event, RunFailed, RunFinished, RunStarted, Warned
from ..plugin.options import options_as_json
from ..plugin.protocols import Finished, Metric
from ..plugin.step import Step, validate_options
from ..recipe.plan import Plan
from ..recipe.yaml12 import write
from . import pipeline
from .checkpoints import CheckpointStore
from .folder import EVENTS, RECIPE, RunFolder
from .journal import Journal
from .outputs import kept, write_outputs
from .predictions_file import write_predictions
from .splitting import Parts, part

_NOTE = "; seen with texts that were made up, before the run"


def try_out(plan: Plan, task: Task | None = None) -> None:
    """Build every component of a plan, and ask its metrics about predictions that are made up.

    task: that of the data, where they are given; else the dataset's, where its options tell it.
    """
    steps: tuple[Step[Any], ...] = (*plan.metrics, *plan.outputs, plan.trainer, plan.encoder)
    for step in steps if plan.dataset is None else (plan.dataset, *steps):
        step.build()
    tasks = plan.dataset.traits.tasks if plan.dataset is not None else frozenset()
    known = task or (next(iter(tasks)) if len(tasks) == 1 else None)
    if known is not None:
        for step in plan.metrics:
            if known in step.traits.tasks:
                _try_metric(step, known)


def _try_metric(step: Step[Metric], task: Task) -> None:
    """Refuse a metric for what it takes and returns, but not for what it raises: it may know the labels of its data."""
    metric = CheckedMetric(step)
    metric.step = replace(step, note=step.note + _NOTE)
    try:
        # Without weights first: there nothing of the predictions can be written into.
        measure(metric, made_up(task))
        bootstrap({step.name: metric}, made_up(task), 2)
    except PluginError as fault:
        if fault.__cause__ is None or not _takes_weights(metric.inner):
            raise
    except TextclfError:
        return


def _takes_weights(metric: Metric) -> bool:
    try:
        inspect.signature(metric).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        return True  # it is not of Python's making and cannot be asked
    return True


def made_up(task: Task) -> Predictions:
    """Return predictions of six texts with two labels, two of them wrong, that nobody can write into."""
    import numpy as np

    truth: Any = np.array([0, 0, 0, 1, 1, 1])
    predicted: Any = np.array([0, 0, 1, 1, 1, 0])
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8], [0.4, 0.6], [0.6, 0.4]], np.float32)
    if task == "multi-label":
        truth, predicted = (np.eye(2, dtype=np.bool_)[column] for column in (truth, predicted))
    for array in (truth, predicted, scores):
        array.flags.writeable = False
    words = [f"text {number}" for number in range(len(truth))]
    return Predictions(Labels(("a", "b"), task), truth, predicted, scores, Texts(words), words)


def fix(folder: RunFolder, plan: Plan, warn: Callable[[str], None]) -> Plan:
    """Return the plan with the options that fix the run's choices, and write it into the run's recipe.

    The record tells of both recipes before the new one is written: a run that is killed in between can be resumed.
    """
    fixed = with_options(plan, folder.fixing(), warn)
    text = write(fixed.resolved())
    if text != write(plan.resolved()):
        new = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        folder.update(recipe_sha256=new, recipe_asked_sha256=digest(folder.path / RECIPE))
        write_text(folder.path / RECIPE, text)
    return fixed


def with_options(plan: Plan, options: Mapping[str, Any], warn: Callable[[str], None]) -> Plan:
    """Return the plan with some options of its steps changed, {"trainer.precision": "bf16"}.

    One that a step does not know or take costs a warning, and not the run that came so far.
    """
    for place, value in options.items():
        kind, _, name = place.partition(".")
        step = {"dataset": plan.dataset, "encoder": plan.encoder, "trainer": plan.trainer}.get(kind)
        told = {} if step is None else options_as_json(step.options)
        if step is None or name not in told:
            warn(f"a choice names the option '{place}', which the recipe does not have; it is left out of the recipe")
            continue
        taken, problems = validate_options(step.registration, {**told, name: value})
        if taken is None:
            warn(f"a choice cannot be written into the recipe: {'; '.join(str(p.under(kind)) for p in problems)}")
            continue
        plan = replace(plan, **{kind: replace(step, options=taken)})  # type: ignore[arg-type]
    return plan


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run needs beside its plan and its folder.

    load: reads a model folder. ways: what can be done about an observer that fails, by name.
    """

    observers: Sequence[tuple[str, Callable[[Event], None]]]
    cache: Path | None
    offline: bool
    stopping: Callable[[], bool]
    load: Callable[[Path], Classifier]
    ways: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finish:
    """What a run leaves in memory."""

    report: Report
    classifier: Classifier
    evaluation: Evaluation


def execute(
    plan: Plan,
    folder: RunFolder,
    around: Surroundings,
    *,
    data: Dataset | None = None,
    fold: int | None = None,
    allow_changed: bool = False,
) -> Finish:
    """Run a plan in its locked folder; running it again in the same folder resumes it."""
    # Absolute once and for all: a plugin may change the current folder. Events and messages name it as the user did.
    here = replace(folder, path=folder.path.absolute())
    journal = Journal(
        list(around.observers), here.observe, warnings=folder.warnings(), choices=folder.choices(),
        accounts=folder.accounts(), ways=around.ways, run=str(folder.path),
    )  # fmt: skip
    resumed = (folder.path / EVENTS).exists()
    began = time.perf_counter()
    with folder.locked(), recorded(here, journal):
        here.mend()
        here.update(state="running", error=None)
        journal.emit(RunStarted(name=folder.name, folder=str(folder.path), resumed=resumed))
        context = RunContext(
            plan.settings.seed, here.work, journal.emit, cache=around.cache and around.cache.absolute(),
            offline=around.offline, stopping=around.stopping, steps=plan.described(),
        )  # fmt: skip
        for warning in plan.warnings:
            journal.emit(Warned(message=warning))
        stages = _Stages(plan, here, journal, context, around.load, fold, allow_changed)
        finish = stages.run(data)
        here.update(
            state="finished", seconds=round(time.perf_counter() - began, 3), stages=journal.stages,
            choices=journal.choices, warnings=journal.warnings, accounts=journal.accounts, forecasts=journal.forecasts,
        )  # fmt: skip
        # The model is saved: checkpoints of several times its size serve nothing any more.
        shutil.rmtree(here.checkpoints, ignore_errors=True)
        values = {name: estimate.value for name, estimate in finish.report.metrics.items()}
        finished = RunFinished(folder=str(folder.path), metrics=values, seconds=time.perf_counter() - began)
        with kept(here.path, journal.blame, *stages.anew(finish.evaluation, finish.classifier)) as each:
            journal.emit(finished, each)
        return _with_warnings(finish, here, journal)


def _with_warnings(finish: Finish, folder: RunFolder, journal: Journal) -> Finish:
    """Add to the record and the report what was warned of at the very end."""
    warnings = tuple(journal.warnings)
    if warnings == finish.report.warnings:
        return finish
    report = replace(finish.report, warnings=warnings)
    report.save(folder.path)
    folder.update(warnings=journal.warnings)
    return replace(finish, report=report)


@contextlib.contextmanager
def recorded(folder: RunFolder, journal: Journal | None = None) -> Iterator[None]:
    """Record how a run, or a study, ended when it did not finish; what it saved stays and can be resumed."""
    try:
        with disk_errors(folder.path):
            yield
    except BaseException as error:
        stopped = isinstance(error, (Stopped, KeyboardInterrupt))
        if isinstance(error, MemoryError):
            failure: BaseException = ResourceError("out of memory; use less data, a smaller model or smaller batches")
        else:
            failure = Cancelled("interrupted") if isinstance(error, KeyboardInterrupt) else error
        code = failure.exit_code if isinstance(failure, TextclfError) else 1
        # A full disk must not hide why the run ended.
        with contextlib.suppress(ResourceError, OSError):
            folder.update(state="interrupted" if stopped else "failed", error=str(failure))
            if journal is not None:
                journal.emit(RunFailed(folder=str(folder.path), error=str(failure), exit_code=code))
        if failure is not error:
            raise failure from error
        raise
    finally:
        folder.clear_work()


@dataclass(frozen=True, slots=True)
class _Stages:
    """The stages of one run, which share its plan, folder, journal and context."""

    plan: Plan
    folder: RunFolder
    journal: Journal
    context: RunContext
    load: Callable[[Path], Classifier]
    fold: int | None
    allow_changed: bool

    def run(self, data: Dataset | None) -> Finish:
        plan, journal = self.plan, self.journal
        try_out(plan, None if data is None else data.labels.task)
        found = pipeline.build_metrics(plan)
        with journal.stage("load") as notes:
            dataset = pipeline.load(plan, data, self.context.at("load", plan.dataset.name if plan.dataset else "data"))
            notes.update(sizes_of(dataset.splits()))
        self._stop_if_asked()
        with journal.stage("split") as notes:
            parts = self._split(dataset)
            notes.update(sizes_of(parts.splits()))
        with journal.stage("encode"):
            encoded = pipeline.encode(plan, parts, self.context.at("encode", plan.encoder.name))
        self._stop_if_asked()
        with journal.stage("train"):
            model = pipeline.train(plan, parts, encoded, self._training(parts, found))
        with journal.stage("evaluate"):
            context = self.context.at("evaluate", plan.trainer.name)
            validation = None
            if parts.validation is not None:
                validation = pipeline.score(plan, parts, encoded, "validation", model, context)
            decision = pipeline.decide(plan, parts, validation, found)
            scores = pipeline.score(plan, parts, encoded, "test", model, context)
            predictions = pipeline.predictions(parts, parts.test, scores, decision)
            evaluation = evaluate(predictions, found, parts.train.labels, plan.settings.report.draws)
        # The model tells of the options that fix what was chosen, whether the run began with them or not.
        fixed = fix(self.folder, plan, self.context.warn)
        classifier = pipeline.classifier(fixed, parts, encoded, model, decision)
        on_validation = {}
        if parts.validation is not None and validation is not None:
            judged = pipeline.predictions(parts, parts.validation, validation, decision)
            on_validation = judge(found, plan.select, judged).metrics
        written = self._write(parts, evaluation, classifier, on_validation, fixed.resolved())
        return Finish(written, classifier, evaluation)

    def _split(self, dataset: Dataset) -> Parts:
        context = self.context.at("split")
        parts = part(
            dataset, self.plan.settings.split, validate=self.plan.uses_validation,
            unlabelled=self.plan.uses_unlabelled, fold=self.fold, warn=context.warn,
        )  # fmt: skip
        seen, now = self.folder.record.get("splits"), pipeline.digests(parts)
        if seen is not None and seen != now and not self.allow_changed:
            changed = ", ".join(name for name in {**seen, **now} if seen.get(name) != now.get(name))
            raise ArtefactError(
                f"the data has changed since this run began ({changed}); run the recipe anew, or resume with "
                f"--allow-changed"
            )
        self.folder.keep_training_keys(parts.train_keys)
        about = {"source": dataset.source, "licence": dataset.licence, "sizes": sizes_of(parts.splits())}
        self.folder.update(splits=now, data=about, split=parts.notes, positive=parts.labels.positive)
        return parts

    def _training(self, parts: Parts, found: Mapping[str, Any]) -> RunContext:
        def saved(step: int, path: Path) -> None:
            self.journal.emit(CheckpointSaved(step=step, folder=str(path)))

        context = self.context.at("train", self.plan.trainer.name)
        store = CheckpointStore(self.folder.checkpoints.absolute(), context.warn, saved)
        return replace(context, checkpoints=store, judging=pipeline.judge_of(self.plan, parts, found))

    def _write(
        self, parts: Parts, evaluation: Evaluation, classifier: Classifier, on_validation: Mapping[str, float],
        resolved: Mapping[str, Any],
    ) -> Report:  # fmt: skip
        predict, save = self.anew(evaluation, classifier)
        with self.journal.stage("save"):
            predict()
            # What nothing reads is the reason of all that follows from it.
            wrong = "" if save().unread else unlike(classifier, self.folder.model, self.load, parts.test.texts)
            if wrong:
                self.journal.emit(Warned(message=wrong, stage="save"))
        made = self._report(parts, evaluation, on_validation)
        finished = Finished(made, evaluation.predictions, self.folder.history(), classifier, resolved)
        write_outputs(self.plan.outputs, finished, self.folder, self.context.warn, predict, save)
        made = self._report(parts, evaluation, on_validation)
        made.save(self.folder.path)
        return made

    def anew(self, evaluation: Evaluation, classifier: Classifier) -> tuple[Callable[[], None], Callable[[], Saved]]:
        """Return what writes the larger of the run's files: its predictions, and its model."""

        def predict() -> None:
            write_predictions(self.folder.path, evaluation.predictions, texts=self.plan.settings.report.texts)

        def save() -> Saved:
            # One that stands there is of an earlier try, which ended before the run was finished.
            shutil.rmtree(self.folder.model, ignore_errors=True)
            saved = classifier.write(self.folder.model)
            for message in saved.warnings:
                self.journal.emit(Warned(message=message, stage="save"))
            return saved

        return predict, save

    def _report(self, parts: Parts, evaluation: Evaluation, on_validation: Mapping[str, float]) -> Report:
        settings, journal = self.plan.settings, self.journal
        return report(
            self.folder.name, evaluation, sizes_of(parts.splits()), gates=settings.gates, validation=on_validation,
            draws=settings.report.draws, split=parts.notes, stages=dict(journal.stages),
            tokens_per_second=journal.accounts.get("train", {}).get("tokens_per_second", journal.tokens_per_second),
            accounts=journal.accounts, objectives=learned(self.folder.history()), choices=journal.choices,
            warnings=tuple(journal.warnings),
        )  # fmt: skip

    def _stop_if_asked(self) -> None:
        if self.context.stopping():
            raise Stopped("stopped before training; `textclf resume` starts it again")
