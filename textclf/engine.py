"""The Engine: the library API to plan, run, resume, load, evaluate and compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .data.html import escaped
from .errors import ArtefactError, DataError, RecipeError
from .plugin.component import Kind, Traits
from .plugin.context import never
from .plugin.discovery import discover, traced_observer
from .plugin.registry import Registry
from .recipe.plan import Plan, make_plan
from .recipe.recipe import Recipe, locate, parse
from .run import folder

# Each method imports what it alone needs: `textclf check` starts without the rooms that run, score and compare.
if TYPE_CHECKING:
    from .compare.comparison import Comparison
    from .data.dataset import Dataset
    from .evaluation.report import Report, Summary
    from .model.classifier import Classifier
    from .plugin.events import Event
    from .run.runner import RunEnvironment
    from .run.study import MemberPlan


class HasFolder(Protocol):
    """What has the folder of a run: a Result, or a line of the list of runs."""

    @property
    def folder(self) -> Path: ...


RunReference: TypeAlias = str | Path | HasFolder
CompareSide: TypeAlias = RunReference | Sequence[RunReference]

LEAST_DRAWS = 100  # the ends of a 95 % interval are read from the outer 2.5 % of the draws


@dataclass(frozen=True, slots=True)
class Result:
    """What a run leaves: its report, its folder, and, for a study, the results of its members."""

    report: Report | Summary
    folder: Path
    members: tuple[Result, ...] = ()
    trained: Classifier | None = None

    def __repr__(self) -> str:
        return f"<Result {self.report.brief()} in {self.folder}>"

    def _repr_html_(self) -> str:
        return f"{self.report._repr_html_()}<p>everything is in {escaped(str(self.folder))}</p>"

    @property
    def classifier(self) -> Classifier:
        if self.trained is None:
            raise ArtefactError("a study has a classifier for each of its members: result.members[0].classifier")
        return self.trained


class Engine:
    """Plans and runs recipes with the plugins that are installed, and those given here.

    plugins: modules or objects with textclf hooks, or the paths of Python files, beside the installed ones. observers:
    called with each event; where none is given, warnings of a run go to the logger "textclf".
    runs: the folder of all runs, each RUNS/NAME/ID; "recipe" is the NAME of a recipe without one. cache: the folder
    shared between runs; by default TEXTCLF_CACHE or the system's. offline: open no socket. stopping: called between
    steps; True ends a run so that it can be resumed. entry_points: False leaves the installed plugins out.
    """

    def __init__(
        self,
        *,
        plugins: Sequence[object] = (),
        observers: Sequence[Callable[[Event], None]] = (),
        runs: str | Path = "runs",
        cache: str | Path | None = None,
        offline: bool = False,
        stopping: Callable[[], bool] = never,
        entry_points: bool = True,
    ) -> None:
        if isinstance(plugins, str):
            raise RecipeError(f"plugins is '{plugins}', not a list; give plugins=['{plugins}']")
        self.runs = Path(runs)
        self._plugins = tuple(plugins)
        self._entry_points = entry_points
        self._observers = tuple(observers)
        self._cache = None if cache is None else Path(cache)
        self._offline = offline
        self._stopping = stopping

    @cached_property
    def registry(self) -> Registry:
        """What the plugins offer; they are looked up when this is first read."""
        return discover(self._plugins, entry_points=self._entry_points)

    def plan(
        self,
        recipe: str | Path | Mapping[str, Any],
        data: Any = None,
        *,
        overrides: Sequence[str] = (),
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Plan:
        """Return the plan of a recipe, or raise one RecipeError with all that is wrong with it.

        recipe: a file, the name of a bundled recipe, or a mapping. data: see `run`. overrides: "trainer.epochs=1".
        """
        changes = [*overrides]
        changes += [] if seed is None else [f"seed={seed}"]
        changes += [] if seeds is None else [f"seeds=[{', '.join(map(str, seeds))}]"]
        if isinstance(recipe, Mapping):
            read = Recipe.from_mapping(recipe, changes)
        else:
            read = parse(locate(recipe, self.registry), changes)
        return self._plan_of(read, _dataset(data))

    def run(
        self,
        recipe: str | Path | Mapping[str, Any],
        data: Any = None,
        *,
        overrides: Sequence[str] = (),
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Result:
        """Run a recipe in a new run folder; with several seeds or folds, each in a folder of its own.

        data, in place of the recipe's dataset step: a pandas DataFrame with columns text and label, (texts, labels),
        (texts, pairs, labels), or a Dataset.
        """
        from .run import study

        dataset = _dataset(data)
        plan = self.plan(recipe, dataset, overrides=overrides, seed=seed, seeds=seeds)
        if len(study.members(plan.settings)) == 1:
            return self._execute(plan, self._create(plan, dataset), dataset, None)
        return self._study(plan, self._create(plan, dataset, kind=folder.STUDY), dataset)

    def resume(self, run: RunReference, data: Any = None, *, allow_changed: bool = False) -> Result:
        """Resume a run that was interrupted or failed; a finished one is returned as it is.

        Refused where the recipe, the plugins or the libraries have changed, unless `allow_changed`: then plugins that
        have changed migrate their options.
        """
        from .run import resume

        opened = folder.open_run(folder.find(self.runs, _reference(run), "any").path)
        if opened.state == "finished":
            return self._finished(opened)
        dataset = _dataset(data)
        if opened.record.get("given") and dataset is None:
            hint = "pass the same again: engine.resume(run, data)"
            raise DataError(f"{opened.path} ran on data that a program passed; {hint}")
        resume.refuse_missing(opened, self.registry)
        read = resume.with_new_names(parse(locate(opened.path / folder.RECIPE, self.registry)), self.registry)
        if allow_changed:
            read = resume.migrate(opened, read, self.registry)
        else:
            resume.refuse_unreadable(opened, read, self.registry)
        plan = self._plan_of(read, dataset)
        if not allow_changed:
            resume.refuse_changes(opened, plan)
        resume.copy_plugins(opened, plan)
        if opened.is_study:
            return self._study(plan, opened, dataset, allow_changed=allow_changed)
        return self._execute(plan, opened, dataset, opened.record.get("fold"), allow_changed=allow_changed)

    def load(self, run: RunReference) -> Classifier:
        """Return the classifier of a run, or of a model folder that lies anywhere."""
        return self._loaded(self.model(run))

    def model(self, run: RunReference) -> Path:
        """Return the model folder of a run; one that lies alone is its own."""
        named = Path(_reference(run))
        return named if (named / "textclf.json").is_file() else self.find(run) / folder.MODEL

    def restore(self, kind: Kind, step: Mapping[str, Any], folder: str | Path) -> Any:
        """Return the object of a step, as `context.steps` tells it, from a folder that its `save` wrote.

        That is how a trainer's own processes come by the encoder.
        """
        from .model.folder import restored_step

        return restored_step(kind, step, self.registry).restore(Path(folder))

    def evaluate(
        self, classifier: Classifier, data: Any, *, draws: int = 2000, run: RunReference | None = None
    ) -> Report:
        """Judge a classifier on labelled data (see `run`) by the metrics of its recipe, all of the data as test.

        run: the run it came from; texts that it was trained on are then counted in a warning.
        """
        from .data.inputs import dataset_of
        from .evaluation import evaluate
        from .run import predictions_file

        _refuse_few(draws)
        dataset = dataset_of(data, classifier.labels)
        split = dataset.test or dataset.train
        if len(split) == 0:
            raise DataError("there are no texts to evaluate on")
        trained = None if run is None else self.find(run)
        metrics, missing = predictions_file.metrics_of(classifier, self.registry)
        predictions = predictions_file.predict(classifier, split)
        evaluation = evaluate.evaluate(predictions, metrics, split.labels, draws)
        seen = () if trained is None else predictions_file.seen_in_training(trained, classifier, split)
        return evaluate.report(
            "evaluation", evaluation, {"test": len(split)}, gates={}, draws=draws, warnings=(*missing, *seen)
        )

    def compare(self, runs: Sequence[CompareSide], *, metrics: Sequence[str] = (), draws: int = 2000) -> Comparison:
        """Compare finished runs on the same test texts: each metric's difference from the first one's, paired.

        runs: results of `run`, folders or names. A study, or a sequence of one recipe's runs with different seeds,
        stands for its recipe: then the intervals allow for other seeds too.
        metrics: the headline first; by default those that all their recipes name.
        """
        from .compare import compare

        if isinstance(runs, str | Path) or hasattr(runs, "folder"):
            raise RecipeError("runs is one run; give a list of at least two: engine.compare([first, second])")
        _refuse_few(draws)
        sides = [
            [_reference(run) for run in side]
            if isinstance(side, Sequence) and not isinstance(side, str)
            else [_reference(side)]
            for side in runs
        ]
        return compare.compare(self.runs, sides, self.registry, draws, metrics)

    def find(self, run: RunReference) -> Path:
        """Return a finished run's folder: a Result, a path, its model folder, NAME (the newest), NAME/ID, "latest"."""
        return folder.find(self.runs, _reference(run)).path

    def runs_list(self) -> list[folder.RunInfo]:
        """Return all runs, the newest first."""
        return folder.list_runs(self.runs)

    def _plan_of(self, recipe: Recipe, data: Dataset | None) -> Plan:
        if data is None:
            return make_plan(recipe, self.registry)
        traits = Traits(tasks=frozenset({data.labels.task}), pairs=data.train.texts.pairs)
        return make_plan(recipe, self.registry, data_traits=traits)

    def _environment(self) -> RunEnvironment:
        from .run.journal import logged
        from .run.runner import RunEnvironment

        found = [(str(by).removeprefix("plugin "), by, observer) for by, observer in self.registry.observers]
        named = [(name, traced_observer(by, observer)) for name, by, observer in found]
        named += [(getattr(o, "__qualname__", type(o).__qualname__), o) for o in self._observers or (logged,)]
        hints = {name: by.disable_hint for name, by, _ in found}
        return RunEnvironment(named, self._cache_folder(), self._offline, self._stopping, self._loaded, hints)

    def _cache_folder(self) -> Path:
        from .run.feature_cache import default_folder

        return default_folder() if self._cache is None else self._cache

    def _loaded(self, model: Path) -> Classifier:
        from .model.classifier import Classifier

        return Classifier.load(model, self.registry, self._cache_folder())

    def _create(self, plan: Plan, data: Dataset | None, *, suffix: str = "", **record: Any) -> folder.RunFolder:
        from .run import resume

        made = folder.create(
            self.runs, plan.settings.name, plan.resolved(), suffix=suffix, source=plan.recipe.source,
            given=data is not None, **resume.plugin_record(plan), **record,
        )  # fmt: skip
        resume.copy_plugins(made, plan)
        return made

    def _execute(
        self, plan: Plan, into: folder.RunFolder, data: Dataset | None, fold: int | None, *, allow_changed: bool = False
    ) -> Result:
        from .run import runner

        done = runner.execute(plan, into, self._environment(), data=data, fold=fold, allow_changed=allow_changed)
        return Result(done.report, into.path, (), replace(done.classifier, cache=self._cache_folder()))

    def _study(
        self, plan: Plan, whole: folder.RunFolder, data: Dataset | None, *, allow_changed: bool = False
    ) -> Result:
        from .run import study

        def create(one: Plan, member: MemberPlan) -> folder.RunFolder:
            return self._create(one, data, suffix=member.suffix(), study=whole.path.name, fold=member.fold)

        def run(one: Plan, opened: folder.RunFolder, member: MemberPlan) -> Result:
            if opened.state == "finished":
                return self._finished(opened)
            return self._execute(one, opened, data, member.fold, allow_changed=allow_changed)

        summary, results = study.run_study(plan, whole, create, run)
        return Result(summary, whole.path, results)

    def _finished(self, opened: folder.RunFolder) -> Result:
        from .evaluation.report import Report, Summary

        if opened.is_study:
            members = map(folder.open_run, opened.members())
            return Result(Summary.load(opened.path), opened.path, tuple(map(self._finished, members)))
        opened.tidy()
        classifier = self._loaded(opened.model)
        return Result(Report.load(opened.path), opened.path, (), classifier)


def _dataset(data: Any) -> Dataset | None:
    from .data.inputs import dataset_of

    return None if data is None else dataset_of(data)


def _reference(run: RunReference) -> str | Path:
    return run if isinstance(run, str | Path) else run.folder


def _refuse_few(draws: int) -> None:
    if draws < LEAST_DRAWS:
        raise RecipeError(f"draws is {draws}, too few for an interval; give at least {LEAST_DRAWS}")
