"""Plans: the components of a recipe with their options, checked against each other, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.dataset import Task
from ..errors import KeyPath, PluginError, Problem, RecipeError, closest, did_you_mean, listing
from ..plugin.component import KINDS, LAYOUTS, Kind, Traits
from ..plugin.protocols import DatasetProvider, Encoder, Metric, Output, Trainer
from ..plugin.registry import Registration, Registry
from ..plugin.step import Step, default_traits, missing_libraries, missing_message, validate_options
from .recipe import Recipe
from .settings import DEFAULT_METRICS, Settings

Placed = tuple[KeyPath, Step[Any], Traits]


def unread_features(encoder: Placed, trainer: Placed, registry: Registry) -> list[Problem]:
    """Say that a trainer cannot read what an encoder makes, and which trainers can."""
    (_, maker, making), (path, reader, reading) = encoder, trainer
    if making.makes is None:
        what = f"encoder '{maker.name}' ({maker.plugin}) does not say what its features are"
        return [Problem(what, encoder[0], exit_code=5)]
    if _reads(reading, making.makes):
        return []
    traits = {name: _default_traits(registry, "trainer", name) for name in registry.names("trainer")}
    fitting = [name for name, its in traits.items() if _reads(its, making.makes)]
    reads = " or ".join(sorted(reading.reads)) or "nothing"
    message = f"trainer '{reader.name}' reads {reads}, but encoder '{maker.name}' makes {making.makes}"
    meant = _misspelt_layout(maker, making, traits.values()) or _misspelt_layout(reader, reading, traits.values())
    known = f" (trainers that read {making.makes}: {listing(fitting) or 'none installed'})"
    return [Problem(f"{message}{known}{meant}", path)]


def _misspelt_layout(step: Step[Any], traits: Traits, readers: Iterable[Traits | None]) -> str:
    """Say which word for a layout is unknown to all others and most like one that is known, or nothing."""
    words = traits.reads if step.kind == "trainer" else {str(traits.makes)}
    read = {word for other in readers if other for word in other.reads}
    known = sorted({*LAYOUTS, *(read - traits.reads)})
    for word in sorted(words.difference(known)):
        near = closest(word, known)
        if near:
            return f"; in the traits of {step.kind} '{step.name}', is '{word}' meant to be '{near}'?"
    return ""


def untaught_objectives(encoder: Placed, trainer: Placed, registry: Registry) -> list[Problem]:
    """Say that a trainer would pass over what an encoder's network is to learn before the labels."""
    (path, maker, making), (_, reader, reading) = encoder, trainer
    if not making.objectives or reading.objectives:
        return []
    traits = {name: _default_traits(registry, "trainer", name) for name in registry.names("trainer")}
    teaching = listing([name for name, its in traits.items() if its and its.objectives]) or "none installed"
    message = f"encoder '{maker.name}' has something to learn before the labels, which trainer '{reader.name}' does"
    return [Problem(f"{message} not teach (trainers that do: {teaching})", path)]


def unfit_for(task: Task | None, pairs: bool, steps: Iterable[Placed]) -> list[Problem]:
    """Say which steps cannot do the data's task, or cannot read pairs of texts."""
    problems = []
    for path, step, traits in steps:
        if task is not None and task not in traits.tasks:
            can = " and ".join(sorted(traits.tasks))
            problems.append(Problem(f"the data is {task}, but {step.kind} '{step.name}' does {can} only", path))
        if pairs and step.kind == "encoder" and not traits.pairs:
            message = f"the data is pairs of texts, but encoder '{step.name}' reads single texts only"
            problems.append(Problem(message, path))
    return problems


def readers_of_validation(settings: Settings, trainer: Step[Any] | None, traits: Traits | None) -> list[str]:
    """Return in words who reads a validation split."""
    readers = []
    if trainer is not None and traits is not None and traits.uses_validation:
        readers.append(f"trainer '{trainer.name}'")
    if settings.select is not None:
        readers.append(f"select: {settings.select}")
    if settings.decide.threshold == "tuned":
        readers.append("decide.threshold: tuned")
    return readers


def wrong_shares(settings: Settings, readers: Sequence[str]) -> list[Problem]:
    """Say that there is no validation for those who read it, or nothing left to train on."""
    split = settings.split
    problems = []
    if readers and split.validation == 0:
        verb = "reads" if len(readers) == 1 else "read"
        message = f"0 leaves no validation split, but {' and '.join(readers)} {verb} one"
        problems.append(Problem(message, ("split", "validation")))
    if (split.test or 0) + (split.validation or 0) >= 1:
        problems.append(Problem("test and validation together leave nothing to train on", ("split", "test")))
    return problems


def unknown_metrics(settings: Settings, names: Sequence[str]) -> list[Problem]:
    """Say that `select` or a gate names a metric that the recipe does not compute."""
    named: list[tuple[str, KeyPath]] = [(gate, ("gates", gate)) for gate in settings.gates]
    if settings.select is not None:
        named.insert(0, (settings.select, ("select",)))
    problems = []
    for name, path in named:
        if name not in names:
            way_out = did_you_mean(name, names) or "; add it to metrics"
            problems.append(Problem(f"'{name}' is not among the recipe's metrics ({listing(names)}){way_out}", path))
    return problems


def _reads(traits: Traits | None, layout: str) -> bool:
    if traits is None:
        return False
    return layout in traits.reads or (layout == "counts" and "matrix" in traits.reads)


def _default_traits(registry: Registry, kind: Kind, name: str) -> Traits | None:
    """Return a component's traits with default options, or None where they cannot be told."""
    try:
        return default_traits(registry.find(kind, name))
    except PluginError:
        return None


_LISTS: dict[Kind, str] = {"metric": "metrics", "output": "outputs"}
_FILE = "; is it in a file? `textclf --plugin FILE run ...`"
_SEED_UNUSED = "seed is not used: seeds names the seeds of the study's runs"
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe whose every name, option and library was checked; nothing is built yet.

    dataset: None where the caller hands the data. select: the metric that picks the best epoch. uses_validation:
    whether anybody reads a validation split, so that one is drawn.
    """

    recipe: Recipe
    settings: Settings
    dataset: Step[DatasetProvider] | None
    encoder: Step[Encoder]
    trainer: Step[Trainer]
    metrics: tuple[Step[Metric], ...]
    outputs: tuple[Step[Output], ...]
    select: str
    uses_validation: bool
    warnings: tuple[str, ...] = ()

    @property
    def uses_unlabelled(self) -> bool:
        """Tell whether encoder or trainer learns from texts without labels."""
        return self.encoder.traits.uses_unlabelled or self.trainer.traits.uses_unlabelled

    def resolved(self) -> dict[str, Any]:
        """Return the recipe with every default written out; it reads as a recipe again."""
        values = self.settings.model_dump(mode="json")
        values["dataset"] = None if self.dataset is None else self.dataset.to_recipe()
        values["encoder"] = self.encoder.to_recipe()
        values["trainer"] = self.trainer.to_recipe()
        values["metrics"] = [step.to_recipe() for step in self.metrics]
        values["outputs"] = [step.to_recipe() for step in self.outputs]
        return values

    def steps(self) -> tuple[Step[Any], ...]:
        """Return every step of the plan, in the order in which a run comes to them."""
        first = () if self.dataset is None else (self.dataset,)
        return (*first, self.encoder, self.trainer, *self.metrics, *self.outputs)

    def described(self) -> dict[str, Any]:
        """Return dataset, encoder and trainer by kind, as `Step.to_json` writes them, for `restored_step` to read."""
        single = (self.dataset, self.encoder, self.trainer)
        return {step.kind: step.to_json() for step in single if step is not None}

    def plugins(self) -> dict[str, str]:
        """Return the version of each plugin module that the plan uses, or the digest of its file."""
        return {step.plugin.module: step.plugin.fingerprint for step in self.steps()}

    def plugin_files(self) -> dict[str, tuple[str, str]]:
        """Return the file and its sha256 of each plugin module that is no package."""
        plugins = [step.plugin for step in self.steps()]
        return {plugin.module: (plugin.file, plugin.sha256) for plugin in plugins if plugin.file}

    def with_seed(self, seed: int) -> Plan:
        """Return the same plan for one run of a study."""
        settings = self.settings.model_copy(update={"seed": seed, "seeds": None})
        return replace(self, settings=settings, warnings=tuple(w for w in self.warnings if w != _SEED_UNUSED))

    def check_data(self, task: Task, pairs: bool) -> None:
        """Raise a RecipeError where a step cannot do the loaded data's task, or its pairs."""
        steps: list[tuple[KeyPath, Step[Any]]] = [(("encoder",), self.encoder), (("trainer",), self.trainer)]
        steps += [(("metrics", index), step) for index, step in enumerate(self.metrics)]
        steps += [(("outputs", index), step) for index, step in enumerate(self.outputs)]
        problems = unfit_for(task, pairs, [(path, step, step.traits) for path, step in steps])
        if problems:
            raise RecipeError(self.recipe.located(problems))


def make_plan(recipe: Recipe, registry: Registry, *, data_traits: Traits | None = None) -> Plan:
    """Return the plan of a recipe, or raise one RecipeError with everything that is wrong with it.

    data_traits: those of the caller's data, in place of the dataset step. Nothing is imported, built or fetched.
    """
    maker = _Maker(recipe, registry)
    dataset = maker.single("dataset") if data_traits is None else None
    encoder, trainer = maker.single("encoder"), maker.single("trainer")
    metrics, outputs = maker.several("metric"), maker.several("output")
    maker.fit(dataset, encoder, trainer, [*metrics, *outputs], data_traits)
    problems = recipe.located((*recipe.problems, *maker.problems))
    if problems or encoder is None or trainer is None:
        raise RecipeError(problems)
    return Plan(
        recipe, recipe.settings, None if dataset is None else dataset[1], encoder[1], trainer[1],
        tuple(step for _, step, _ in metrics), tuple(step for _, step, _ in outputs),
        recipe.settings.select or metrics[0][1].name, bool(maker.readers),
        (*registry.warnings, *_broken_files(registry), *maker.warnings),
    )  # fmt: skip


def _broken_files(registry: Registry) -> list[str]:
    """Warn of files that were asked for by name and are of no use, such as an observer's, which no recipe misses."""
    return [f"{p} is broken, and nothing of it is used: {p.error}" for p in registry.plugins if p.file and p.broken]


@dataclass(slots=True)
class _Maker:
    """Collects steps and problems while a plan is made."""

    recipe: Recipe
    registry: Registry
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)

    def single(self, kind: Kind) -> Placed | None:
        value = self.recipe.values.get(kind)
        if value is None:
            if (kind,) not in self.recipe.unreadable:
                known = listing(self.registry.names(kind)) or "none"
                self.problems.append(Problem(f"is missing; name the recipe's {kind} (installed: {known})", (kind,)))
            return None
        return self._step(kind, value, (kind,))

    def several(self, kind: Kind) -> list[Placed]:
        key = _LISTS[kind]
        values = self.recipe.values.get(key)
        if values is None:
            values = DEFAULT_METRICS if kind == "metric" else ()
        if not isinstance(values, list | tuple):
            return []
        steps: list[Placed] = []
        for index, value in enumerate(values):
            step = self._step(kind, value, (key, index))
            if step is not None and kind == "metric" and step[1].name in [other.name for _, other, _ in steps]:
                self.problems.append(Problem(f"metric '{step[1].name}' is named twice", (key, index)))
            elif step is not None:
                steps.append(step)
        return steps

    def _step(self, kind: Kind, value: Any, path: KeyPath) -> Placed | None:
        name = value.get("use") if isinstance(value, dict) else value
        if not isinstance(name, str) or not name or len(name) > 100:
            return None  # a problem of the settings
        options = {key: entry for key, entry in value.items() if key != "use"} if isinstance(value, dict) else {}
        place = (*path, "use") if isinstance(value, dict) else path
        offer = self._offer(kind, name, place)
        return None if offer is None else self._validated(offer, options, path, place)

    def _offer(self, kind: Kind, name: str, place: KeyPath) -> Registration | None:
        try:
            if name in self.registry.names(kind):
                return self.registry.find(kind, name)
        except PluginError as error:
            self.problems.append(Problem(str(error), place, exit_code=5))
            return None
        message = self.registry.missing(kind, name)
        broken = self._may_be_broken(kind, name)
        if not broken and not self._misspelt(kind, name) and _CHARACTERS.issuperset(name):
            message += _FILE
        self.problems.append(Problem(message, place, exit_code=5 if broken else 2))
        return None

    def _may_be_broken(self, kind: Kind, name: str) -> bool:
        """Tell whether a name that nobody offers may be one of a plugin that is broken, or is kept out."""
        if not _CHARACTERS.issuperset(name):
            return False
        if self.registry.broken_offering(name):
            return True
        absent = self.registry.blocked or any(plugin.broken for plugin in self.registry.plugins)
        return bool(absent) and not self._misspelt(kind, name)

    def _misspelt(self, kind: Kind, name: str) -> bool:
        """Tell whether a name is near a known one, or that of another kind."""
        near = closest(name, self.registry.names(kind))
        return near is not None or any(name in self.registry.names(other) for other in KINDS)

    def _validated(self, offer: Registration, values: dict[str, Any], path: KeyPath, place: KeyPath) -> Placed | None:
        lacking = missing_libraries(offer.component)
        if lacking:
            self.problems.append(Problem(missing_message(offer.kind, offer.component, lacking), place, exit_code=5))
        options, problems = validate_options(offer, values)
        self.problems += [problem.under(*path) for problem in problems]
        if options is None:
            return None
        step: Step[Any] = Step(offer.kind, offer, options)
        self._check(step, path, lacking)
        try:
            return path, step, step.traits
        except PluginError as error:
            self.problems.append(Problem(str(error), place, exit_code=5))
            return None

    def _check(self, step: Step[Any], path: KeyPath, lacking: list[str]) -> None:
        """Ask the component what is wrong here and now; a problem of exit code 0 is a warning."""
        try:
            found = step.check()
        except PluginError as error:
            if not lacking:
                self.problems.append(Problem(str(error), path, exit_code=5))
            return
        placed = [problem.under(*path) for problem in found]
        self.problems += [problem for problem in placed if problem.exit_code]
        self.warnings += [str(problem) for problem in placed if not problem.exit_code]

    def fit(
        self,
        dataset: Placed | None,
        encoder: Placed | None,
        trainer: Placed | None,
        others: list[Placed],
        data_traits: Traits | None,
    ) -> None:
        """Check what must fit between the steps that could be read."""
        settings = self.recipe.settings
        if encoder and trainer:
            self.problems += unread_features(encoder, trainer, self.registry)
            self.problems += untaught_objectives(encoder, trainer, self.registry)
        data = dataset[2] if dataset else data_traits
        if data is not None:
            task = next(iter(data.tasks)) if len(data.tasks) == 1 else None
            steps: Iterable[Placed | None] = (encoder, trainer, *others)
            self.problems += unfit_for(task, data.pairs, [step for step in steps if step])
        self.readers = readers_of_validation(settings, trainer and trainer[1], trainer and trainer[2])
        self.problems += wrong_shares(settings, self.readers)
        self.problems += unknown_metrics(settings, self._metric_names())
        by_flag = any(override.path == ("seeds",) for override in self.recipe.overrides)
        if settings.seeds is not None and "seed" in self.recipe.values and not by_flag:
            self.warnings.append(_SEED_UNUSED)
        if settings.split.folds is not None and settings.split.test is not None:
            self.warnings.append("split.test is not used: with split.folds each fold is the test split once")

    def _metric_names(self) -> list[str]:
        """Return the names the recipe gives its metrics, also of those with problems of their own."""
        values = self.recipe.values.get("metrics")
        steps = values if isinstance(values, list) else list(DEFAULT_METRICS)
        names = [step.get("use") if isinstance(step, dict) else step for step in steps]
        return [name for name in names if isinstance(name, str)]
