"""The Engine: the library API to plan, run, resume, load, evaluate and compare."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias, TypeGuard

from .compare import compare
from .compare.compare import Reference
from .compare.comparison import Comparison
from .data import inputs
from .data.dataset import Dataset
from .data.html import escaped
from .errors import ArtefactError, DataError, RecipeError, kind_of
from .evaluation import evaluate
from .evaluation.report import Report, Summary
from .model.classifier import Classifier
from .model.folder import restored_step
from .plugin import single_file
from .plugin.component import KINDS, Kind, Traits, has_hooks
from .plugin.context import never
from .plugin.discovery import discover, observing, trace_writer
from .plugin.events import Event
from .plugin.registry import Registry
from .recipe.plan import Plan, make_plan
from .recipe.recipe import Recipe, locate, parse
from .run import feature_cache as caches
from .run import folder, predictions_file, resume, runner, study
from .run.journal import logged
from .run.resume import in_todays_terms, refuse_unreadable


def plugins_of(plugins: Iterable[object]) -> tuple[object, ...]:
    """Return what was given as plugins: modules, objects with hooks, and paths of Python files."""
    given = _tuple_of("plugins", plugins, _named(plugins))
    for i, one in enumerate(given):
        if isinstance(one, str | Path):
            _refuse_no_file(f"plugins[{i}]", str(one))
        elif not isinstance(one, ModuleType) and not has_hooks(one):
            raise RecipeError(
                f"plugins[{i}] is {_what(one)}, which has no hook; give a module, an object with hooks such as "
                f"textclf_encoders(), or the path of a Python file"
            )
    return given


def observers_of(observers: Iterable[Callable[[Event], None]]) -> tuple[Callable[[Event], None], ...]:
    """Return the observers; each can be called."""
    given = _tuple_of("observers", observers, _named(observers) if callable(observers) else "...")
    for i, one in enumerate(given):
        if not callable(one):
            raise RecipeError(f"observers[{i}] is {_what(one)}; give functions that take an event")
    return given


def stopping_of(stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Return what is asked whether to stop; it can be called without arguments."""
    if not _answers(stopping):
        way = "give a function without arguments that returns True where a run is to stop"
        raise RecipeError(f"stopping is {_what(stopping)}; {way}")
    return stopping


def folder_of(name: str, folder: str | Path) -> Path:
    """Return a path that was given as an argument of that name."""
    path = os.fspath(folder) if isinstance(folder, str | os.PathLike) else None
    if isinstance(path, str) and "\0" not in path:
        return Path(path)
    found = "a text with a zero byte" if isinstance(path, str) else _what(folder)
    raise RecipeError(f"{name} is {found}; give the path of a folder")


def flag_of(name: str, value: bool) -> bool:
    """Return a flag: "no" would be taken for a yes."""
    if not isinstance(value, bool):
        raise RecipeError(f"{name} is {_what(value)}; give True or False")
    return value


def recipe_of(recipe: str | Path | Mapping[str, Any]) -> str | Path | Mapping[str, Any]:
    """Return what names or is a recipe."""
    empty = isinstance(recipe, str) and not recipe
    if isinstance(recipe, str | Path | Mapping) and not empty:
        return recipe
    found = "empty" if empty else _what(recipe)
    raise RecipeError(f"recipe is {found}; give a file, the name of a bundled recipe, or a mapping")


def overrides_of(overrides: Iterable[str], seed: int | None, seeds: Iterable[int] | None) -> list[str]:
    """Return what is asked beside a recipe, as `--set` takes it."""
    example = _named(overrides) if isinstance(overrides, str) else "'trainer.epochs=1'"
    asked = [*_tuple_of("overrides", overrides, example)]
    for i, one in enumerate(asked):
        if not isinstance(one, str):
            raise RecipeError(f"overrides[{i}] is {_what(one)}; give texts: overrides=['trainer.epochs=1']")
    asked += [] if seed is None else [f"seed={seed}"]
    return asked + ([] if seeds is None else [f"seeds=[{', '.join(map(str, _tuple_of('seeds', seeds, '1, 2, 3')))}]"])


def classifier_of(classifier: Classifier) -> Classifier:
    """Return a classifier; a run is none."""
    if not isinstance(classifier, Classifier):
        raise RecipeError(f"classifier is {_what(classifier)}; give result.classifier, or engine.load(run)")
    return classifier


def step_of(kind: Kind, step: Mapping[str, Any]) -> tuple[Kind, Mapping[str, Any]]:
    """Return a kind of component, and a step of that kind as `context.steps` tells it."""
    if kind not in KINDS:
        raise RecipeError(f"kind is {_what(kind)}; give one of {', '.join(KINDS)}")
    if not isinstance(step, Mapping):
        raise RecipeError(f"step is {_what(step)}; give what context.steps tells of the {kind}")
    return kind, step


def _refuse_no_file(place: str, file: str) -> None:
    """Raise a RecipeError where there is no such Python file; what is in it is looked at later."""
    if not file.endswith(".py") and _is_importable(file) and not Path(file).exists():
        raise RecipeError(f"{place} is '{file}', a module's name; import the module, and give it: plugins=[{file}]")
    single_file.refuse(file)


def _is_importable(name: str) -> bool:
    """Tell whether there is a top-level package or module that a dotted name begins with; nothing is imported."""
    top, *others = name.split(".")
    try:
        return all(map(str.isidentifier, (top, *others))) and importlib.util.find_spec(top) is not None
    except ValueError:  # it was imported, and has no spec
        return True


def _answers(asked: object) -> bool:
    """Tell whether something can be called without arguments, as far as it lets that be known."""
    try:
        inspect.signature(asked).bind()  # type: ignore[arg-type]
    except TypeError:
        return False
    except Exception:  # noqa: BLE001 - some of Python's own functions have no signature, and others may raise anything
        return True
    return True


def _tuple_of(name: str, values: Iterable[Any], example: str) -> tuple[Any, ...]:
    """Return the entries of an argument; one alone is no list of them. example: what such a list would hold."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Path | Mapping):
        return tuple(values)
    raise RecipeError(f"{name} is {_what(values)}, not a list; give {name}=[{example}]")


def _named(value: object) -> str:
    """Return what a program most likely writes for a value."""
    return repr(str(value)) if isinstance(value, str | Path) else str(getattr(value, "__name__", "..."))


def _what(value: object) -> str:
    """Say what a value is; modules, classes and functions by their names."""
    if isinstance(value, str | Path):
        return f"'{value}'"
    if isinstance(value, ModuleType):
        return f"the module '{value.__name__}'"
    if isinstance(value, type):
        return f"the class '{value.__name__}'"
    called = getattr(value, "__name__", "") if callable(value) else ""
    return f"the function '{called}'" if called else kind_of(value)


def traits_of(dataset: Dataset) -> Traits:
    """Return what the plan must know of given data."""
    return Traits(tasks=frozenset({dataset.labels.task}), pairs=dataset.train.texts.pairs)


LEAST_DRAWS = 100
_VERSUS = "vs"


class Kept(Protocol):
    """What has a run's folder: a Result, or a line of the list of runs."""

    @property
    def folder(self) -> Path: ...


One: TypeAlias = Reference | Kept
Side: TypeAlias = One | Sequence[One]


def sides_of(runs: Sequence[Side], others: Sequence[object] = ()) -> list[list[Reference]]:
    """Return the references of each side. others: what was given behind `runs`, and belongs into it."""
    if others or not _is_list(runs):
        found = "several arguments" if others else f"{kind_of(runs)}, not a list"
        raise RecipeError(f"runs is {found}; give one list of at least two runs: engine.compare([first, second])")
    return [
        [_one_of(one, f"runs[{i}][{j}]") for j, one in enumerate(side)] if _is_list(side)
        else [_one_of(side, f"runs[{i}]")]
        for i, side in enumerate(runs)
    ]  # fmt: skip


def metrics_of(metrics: Sequence[str]) -> list[str]:
    """Return the names of metrics; one alone is no list of them."""
    if isinstance(metrics, str):
        raise RecipeError(f"metrics is '{metrics}', not a list; give metrics=['{metrics}']")
    if not _is_list(metrics):
        raise RecipeError(f"metrics is {kind_of(metrics)}, not a list; give names: metrics=['accuracy']")
    for i, name in enumerate(metrics):
        if not isinstance(name, str):
            raise RecipeError(f"metrics[{i}] is {kind_of(name)}, not a metric's name; give names: metrics=['accuracy']")
    return [*metrics]


def draws_of(draws: int) -> int:
    """Return a number of bootstrap draws that an interval can be read from."""
    if not isinstance(draws, int) or isinstance(draws, bool):
        raise RecipeError(f"draws is {kind_of(draws)}, not a whole number; give at least {LEAST_DRAWS}")
    if draws < LEAST_DRAWS:
        raise RecipeError(f"draws is {draws}, too few for an interval; give at least {LEAST_DRAWS}")
    return draws


def reference_of(run: One) -> Reference:
    """Return a run's folder or name; of a Result, its folder."""
    reference = _reference(run, "run", "give a Result of engine.run, or a run's folder or name")
    try:
        Path(reference).exists()
    except OSError as error:
        raise RecipeError(f"run '{str(reference)[:60]}' cannot be read: {(error.strerror or '').lower()}") from None
    return reference


def _one_of(one: Any, place: str) -> Reference:
    if isinstance(one, str) and one == _VERSUS:
        raise RecipeError(
            f"{place} is 'vs', which only the command reads so; give each side's runs as a list: "
            f"engine.compare([[a1, a2], [b1, b2]])"
        )
    return _reference(one, place, "give a Result of engine.run, a run's folder or name, or a list of them")


def _reference(one: Any, place: str, way: str) -> Reference:
    if isinstance(one, str | Path):
        return one
    folder = getattr(one, "folder", None)
    if isinstance(folder, Path):
        return folder
    raise RecipeError(f"{place} is {kind_of(one)}; {way}")


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


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
    shared between runs; by default TEXTCLF_CACHE or the system's. offline: open no socket. stopping: asked between
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
        self.runs = folder_of("runs", runs)
        self._plugins = plugins_of(plugins)
        self._entry_points = flag_of("entry_points", entry_points)
        self._observers = observers_of(observers)
        self._cache = None if cache is None else folder_of("cache", cache)
        self._offline = flag_of("offline", offline)
        self._stopping = stopping_of(stopping)

    @cached_property
    def registry(self) -> Registry:
        """What the plugins offer; they are looked up when this is first read."""
        return discover(self._plugins, entry_points=self._entry_points, say=trace_writer())

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
        return self._planned(recipe, None if data is None else inputs.dataset_of(data), overrides, seed, seeds)

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
        dataset = None if data is None else inputs.dataset_of(data)
        plan = self._planned(recipe, dataset, overrides, seed, seeds)
        settings = plan.settings
        each = study.members(settings.seed, settings.seeds, settings.split.folds)
        if len(each) == 1:
            return self._execute(plan, self._create(plan, dataset), dataset, None)
        whole = self._create(plan, dataset, kind=folder.STUDY)
        return self._study(plan, whole, each, dataset)

    def resume(self, run: One, data: Any = None, *, allow_changed: bool = False) -> Result:
        """Go on with a run that was interrupted or failed; a finished one is returned as it is.

        Refused where the recipe, the plugins or the libraries have changed, unless `allow_changed`: then plugins that
        have changed migrate their options.
        """
        allow_changed = flag_of("allow_changed", allow_changed)
        path = folder.locate(self.runs, reference_of(run))
        opened = folder.open_run(path)
        if opened.state == "finished":
            return self._finished(opened)
        dataset = None if data is None else inputs.dataset_of(data)
        if opened.record.get("given") and dataset is None:
            raise DataError(f"{path} ran on data that a program gave it; give the same again: engine.resume(run, data)")
        resume.refuse_absent(opened, self.registry)
        read = resume.with_new_names(parse(locate(path / folder.RECIPE, self.registry)), self.registry)
        if allow_changed:
            read = in_todays_terms(opened, read, self.registry)
        else:
            refuse_unreadable(opened, read, self.registry)
        plan = self._plan_of(read, dataset)
        if not allow_changed:
            resume.refuse_changes(opened, plan)
        resume.keep_plugins(opened, plan)
        if opened.record.get("kind") == folder.STUDY:
            settings = plan.settings
            each = study.members(settings.seed, settings.seeds, settings.split.folds)
            return self._study(plan, opened, each, dataset, allow_changed=allow_changed)
        return self._execute(plan, opened, dataset, opened.record.get("fold"), allow_changed=allow_changed)

    def load(self, run: One) -> Classifier:
        """Return the classifier of a run, or of a model folder that lies anywhere."""
        return self._loaded(self.model(run))

    def model(self, run: One) -> Path:
        """Return the model folder of a run; one that lies alone is its own."""
        named = Path(reference_of(run))
        return named if (named / "textclf.json").is_file() else self.find(run) / folder.MODEL

    def restore(self, kind: Kind, step: Mapping[str, Any], folder: str | Path) -> Any:
        """Return the object of a step, as `context.steps` tells it, from a folder that its `save` wrote.

        That is how a trainer's own processes come by the encoder.
        """
        saved = folder_of("folder", folder)
        return restored_step(*step_of(kind, step), self.registry).restore(saved)

    def evaluate(
        self, classifier: Classifier, data: Any, *, draws: int = 2000, run: One | None = None
    ) -> Report:
        """Judge a classifier on labelled data (see `run`) by the metrics of its recipe, all of the data as test.

        run: the run it came from; texts that it was trained on are then counted in a warning.
        """
        labels = classifier_of(classifier).labels
        enough, dataset = draws_of(draws), inputs.dataset_of(data, labels)
        split = dataset.test or dataset.train
        if len(split) == 0:
            raise DataError("there are no texts to evaluate on")
        trained = None if run is None else self.find(run)
        files = dict if trained is None else partial(resume.files_of, trained)
        metrics, missing = predictions_file.metrics_of(classifier, self.registry, files)
        predictions = predictions_file.predict(classifier, split)
        judged = evaluate.evaluate(predictions, metrics, split.labels, enough)
        seen = () if trained is None else predictions_file.seen_in_training(trained, classifier, split)
        return evaluate.report(
            "evaluation", judged, {"test": len(split)}, gates={}, draws=enough, warnings=(*missing, *seen)
        )

    def compare(
        self, runs: Sequence[Side], *others: object, metrics: Sequence[str] = (), draws: int = 2000
    ) -> Comparison:
        """Compare finished runs on the same test texts: each metric's difference from the first one's, paired.

        runs: results of `run`, folders or names. A study, or a sequence of one recipe's runs with different seeds,
        stands for its recipe: then the intervals allow for other seeds too. others: refused, they belong into `runs`.
        metrics: the headline first; by default those that all their recipes name.
        """
        sides = sides_of(runs, others)
        named, enough = metrics_of(metrics), draws_of(draws)
        return compare.compare(self.runs, sides, self.registry, enough, named)

    def find(self, run: One) -> Path:
        """Return a finished run's folder: a Result, a path, its model folder, NAME (the newest), NAME/ID, "latest"."""
        return folder.find(self.runs, reference_of(run))

    def runs_list(self) -> list[folder.RunInfo]:
        """Return all runs, the newest first."""
        return folder.infos(self.runs)

    def _planned(
        self,
        recipe: str | Path | Mapping[str, Any],
        data: Dataset | None,
        overrides: Sequence[str],
        seed: int | None,
        seeds: Sequence[int] | None,
    ) -> Plan:
        asked_also, recipe = overrides_of(overrides, seed, seeds), recipe_of(recipe)
        if isinstance(recipe, Mapping):
            read = Recipe.from_mapping(recipe, asked_also)
        else:
            read = parse(locate(recipe, self.registry), asked_also)
        return self._plan_of(read, data)

    def _plan_of(self, recipe: Recipe, data: Dataset | None) -> Plan:
        return make_plan(recipe, self.registry, data_traits=None if data is None else traits_of(data))

    def _around(self) -> runner.Surroundings:
        say = trace_writer()
        found = [(str(by).removeprefix("plugin "), by, observer) for by, observer in self.registry.observers]
        named = [(name, observing(by, observer, say)) for name, by, observer in found]
        named += [(getattr(o, "__qualname__", type(o).__qualname__), o) for o in self._observers or (logged,)]
        ways = {name: by.without for name, by, _ in found}
        return runner.Surroundings(named, self._cache_folder(), self._offline, self._stopping, self._loaded, ways)

    def _cache_folder(self) -> Path:
        return caches.default_folder() if self._cache is None else self._cache

    def _loaded(self, model: Path) -> Classifier:
        return Classifier.load(model, self.registry, self._cache_folder(), partial(resume.files_of, model.parent))

    def _create(self, plan: Plan, data: Dataset | None, *, suffix: str = "", **record: Any) -> folder.RunFolder:
        made = folder.create(
            self.runs, plan.settings.name, plan.resolved(), suffix=suffix, source=plan.recipe.source,
            given=data is not None, **resume.made_with(plan), **record,
        )  # fmt: skip
        resume.keep_plugins(made, plan)
        return made

    def _execute(
        self, plan: Plan, into: folder.RunFolder, data: Dataset | None, fold: int | None, *, allow_changed: bool = False
    ) -> Result:
        done = runner.execute(plan, into, self._around(), data=data, fold=fold, allow_changed=allow_changed)
        return Result(done.report, into.path, (), replace(done.classifier, cache=self._cache_folder()))

    def _study(
        self, plan: Plan, whole: folder.RunFolder, each: Sequence[study.MemberPlan], data: Dataset | None,
        *, allow_changed: bool = False,
    ) -> Result:  # fmt: skip
        """Run each member that is not finished, and summarise."""
        with whole.locked(), runner.recorded(whole):
            whole.update(state="running", error=None)
            results = [self._member(plan, whole, member, data, allow_changed) for member in each]
            judged = [predictions_file.evaluation_of(r.folder, self.registry, plan) for r in results]
            summary = study.summarise(plan.settings.name, each, [str(r.folder) for r in results], judged)
            summary.save(whole.path)
            whole.update(state="finished")
        return Result(summary, whole.path, tuple(results))

    def _member(
        self, plan: Plan, whole: folder.RunFolder, member: study.MemberPlan, data: Dataset | None, allow_changed: bool
    ) -> Result:
        """Run one member, or go on with it; the study's record names its members' folders, which lie beside its own."""
        one = plan.with_seed(member.seed)
        begun: dict[str, str] = dict(whole.record.get("members", {}))
        key = member.suffix()
        if key not in begun:
            made = self._create(one, data, suffix=key, study=whole.path.name, fold=member.fold)
            begun[key] = made.path.name
            whole.update(members=begun)
        opened = folder.open_run(whole.path.with_name(begun[key]))
        if opened.state == "finished":
            return self._finished(opened)
        return self._execute(one, opened, data, member.fold, allow_changed=allow_changed)

    def _finished(self, opened: folder.RunFolder) -> Result:
        if opened.record.get("kind") == folder.STUDY:
            members = [folder.open_run(opened.path.with_name(name)) for name in opened.record["members"].values()]
            return Result(Summary.load(opened.path), opened.path, tuple(map(self._finished, members)))
        opened.tidy()
        classifier = self._loaded(opened.model)
        return Result(Report.load(opened.path), opened.path, (), classifier)
