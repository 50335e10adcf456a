"""Plans: the components of a recipe with their options, checked against each other, all problems at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..data.dataset import Task
from ..errors import KeyPath, PluginError, Problem, RecipeError, closest, did_you_mean, listing
from ..plugin.component import KINDS, LAYOUTS, Kind, Traits
from ..plugin.options import UnknownKey
from ..plugin.protocols import DatasetProvider, Encoder, Metric, Output, Trainer
from ..plugin.registry import Registration, Registry
from ..plugin.step import Step, default_traits, missing_libraries, missing_message, validate_options
from .recipe import Recipe
from .settings import DEFAULT_METRICS, STEP_LISTS, Settings

_SEED_UNUSED = "seed is not used: seeds names the seeds of the study's runs"


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe whose names, options and libraries are all checked; nothing is built yet.

    dataset: None where the caller passes the data. select: the metric that picks the best epoch. uses_validation:
    whether a step or setting reads a validation split, so that one is drawn.
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
        problems = check_task(task, pairs, [Placed(path, step, step.traits) for path, step in steps])
        if problems:
            raise RecipeError(self.recipe.located(problems))


def make_plan(recipe: Recipe, registry: Registry, *, data_traits: Traits | None = None) -> Plan:
    """Return the plan of a recipe, or raise one RecipeError with everything that is wrong with it.

    data_traits: those of the caller's data, in place of the dataset step. Nothing is imported, built or fetched.
    """
    planner = _Planner(recipe, registry)
    dataset = planner.single("dataset") if data_traits is None else None
    encoder, trainer = planner.single("encoder"), planner.single("trainer")
    metrics, outputs = planner.several("metric"), planner.several("output")
    planner.check_steps(dataset, encoder, trainer, [*metrics, *outputs], data_traits)
    problems = recipe.located((*recipe.problems, *map(planner.as_written, planner.problems)))
    if problems or encoder is None or trainer is None:
        raise RecipeError(problems)
    # A broken file was named by the user, and a recipe may not miss it, as with an observer.
    broken = [f"{p} is broken, and nothing of it is used: {p.error}" for p in registry.plugins if p.file and p.broken]
    return Plan(
        recipe=recipe,
        settings=recipe.settings,
        dataset=None if dataset is None else dataset.step,
        encoder=encoder.step,
        trainer=trainer.step,
        metrics=tuple(placed.step for placed in metrics),
        outputs=tuple(placed.step for placed in outputs),
        select=recipe.settings.select or metrics[0].step.name,
        uses_validation=bool(planner.readers),
        warnings=(*registry.warnings, *broken, *planner.warnings),
    )


class Placed(NamedTuple):
    """A step with its traits, and where it stands in the recipe."""

    path: KeyPath
    step: Step[Any]
    traits: Traits


@dataclass(slots=True)
class _Planner:
    """Collects steps and problems while a plan is made."""

    recipe: Recipe
    registry: Registry
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    old_paths: dict[KeyPath, KeyPath] = field(default_factory=dict)  # where options that were renamed are written

    def single(self, kind: Kind) -> Placed | None:
        value = self.recipe.values.get(kind)
        if value is None:
            if (kind,) not in self.recipe.unreadable:
                known = listing(self.registry.names(kind)) or "none"
                self.problems.append(Problem(f"is missing; name the recipe's {kind} (installed: {known})", (kind,)))
            return None
        return self._step(kind, value, (kind,))

    def several(self, kind: Kind) -> list[Placed]:
        key = STEP_LISTS[kind]
        values = self.recipe.values.get(key)
        if values is None:
            values = DEFAULT_METRICS if kind == "metric" else ()
        if not isinstance(values, list | tuple):
            return []
        steps: list[Placed] = []
        for index, value in enumerate(values):
            placed = self._step(kind, value, (key, index))
            if placed is None:
                continue
            if kind == "metric" and placed.step.name in [other.step.name for other in steps]:
                self.problems.append(Problem(f"metric '{placed.step.name}' is named twice", (key, index)))
            else:
                steps.append(placed)
        return steps

    def _step(self, kind: Kind, value: Any, path: KeyPath) -> Placed | None:
        name = value.get("use") if isinstance(value, dict) else value
        if not isinstance(name, str) or not name or len(name) > 100:
            return None  # a problem of the settings
        options = {key: entry for key, entry in value.items() if key != "use"} if isinstance(value, dict) else {}
        place = (*path, "use") if isinstance(value, dict) else path
        registration = self._registration(kind, name, place)
        return None if registration is None else self._validated(registration, options, path, place)

    def _registration(self, kind: Kind, name: str, place: KeyPath) -> Registration | None:
        try:
            if name in self.registry.names(kind):
                return self.registry.find(kind, name)
        except PluginError as error:
            self.problems.append(Problem(str(error), place, exit_code=5))
            return None
        # A name that is unlike any known one may be that of a component whose plugin is broken, blocked, or in a file.
        plausible = re.fullmatch(r"[A-Za-z0-9_-]+", name) is not None
        near = closest(name, self.registry.names(kind)) is not None
        misspelt = near or any(name in self.registry.names(other) for other in KINDS)
        absent = bool(self.registry.blocked) or any(plugin.broken for plugin in self.registry.plugins)
        broken = plausible and (bool(self.registry.broken_offering(name)) or (absent and not misspelt))
        in_file = plausible and not broken and not misspelt
        hint = "; is it in a file? `textclf --plugin FILE run ...`" if in_file else ""
        self.problems.append(Problem(self.registry.missing(kind, name) + hint, place, exit_code=5 if broken else 2))
        return None

    def _validated(
        self, registration: Registration, values: dict[str, Any], path: KeyPath, place: KeyPath
    ) -> Placed | None:
        missing = missing_libraries(registration.component)
        if missing:
            message = missing_message(registration.kind, registration.component, missing)
            self.problems.append(Problem(message, place, exit_code=5))
        options, problems = validate_options(registration, self._new_names(registration, values, path))
        self.problems += [problem.under(*path) for problem in problems]
        if options is None:
            return None
        try:
            step: Step[Any] = Step(registration.kind, registration, options)
        except PluginError as error:
            self.problems.append(Problem(str(error), place, exit_code=5))
            return None
        self._check(step, path, missing)
        return Placed(path, step, step.traits)

    def _new_names(self, registration: Registration, values: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        """Return the values by the names that the options have now, with a warning for each old name."""
        values = dict(values)
        for old, (new, until) in registration.component.options.renamed.items():
            if old not in values:
                continue
            what = f"option '{old}' of {registration.kind} '{registration.component.name}' is now '{new}'"
            self.warnings.append(f"{what}; the old name goes in {until}")
            value = values.pop(old)
            # A flag overrides the recipe by either name.
            overridden = {override.path[: len(path) + 1] for override in self.recipe.overrides}
            by_flag = [name for name in (old, new) if (*path, name) in overridden]
            if new not in values or by_flag == [old]:
                values[new] = value
                self.old_paths[*path, new] = (*path, old)
            elif by_flag != [new]:
                self.problems.append(UnknownKey(f"{what}, which is there too; remove one of them", (*path, old)))
        return values

    def as_written(self, problem: Problem) -> Problem:
        """Return a problem at the option's name in the recipe, which may be an old one."""
        for new, old in self.old_paths.items():
            if problem.path[: len(new)] == new:
                return replace(problem, path=(*old, *problem.path[len(new) :]))
        return problem

    def _check(self, step: Step[Any], path: KeyPath, missing: list[str]) -> None:
        """Call the component's own check; a problem of exit code 0 is a warning."""
        try:
            found = step.check()
        except PluginError as error:
            # Without its libraries a check may fail, and that they are missing is a problem already.
            if not missing:
                self.problems.append(Problem(str(error), path, exit_code=5))
            return
        placed = [problem.under(*path) for problem in found]
        self.problems += [problem for problem in placed if problem.exit_code]
        self.warnings += [str(problem) for problem in placed if not problem.exit_code]

    def check_steps(
        self,
        dataset: Placed | None,
        encoder: Placed | None,
        trainer: Placed | None,
        others: list[Placed],
        data_traits: Traits | None,
    ) -> None:
        """Check what must fit between the steps that could be read."""
        recipe, settings = self.recipe, self.recipe.settings
        if encoder and trainer:
            self.problems += check_features(encoder, trainer, self.registry)
            self.problems += check_objectives(encoder, trainer, self.registry)
        data = dataset.traits if dataset else data_traits
        if data is not None:
            task = next(iter(data.tasks)) if len(data.tasks) == 1 else None
            steps: Iterable[Placed | None] = (encoder, trainer, *others)
            self.problems += check_task(task, data.pairs, [step for step in steps if step])
        self.readers = readers_of_validation(settings, trainer)
        self.problems += check_shares(settings, self.readers)
        values = recipe.values.get("metrics")
        metrics = values if isinstance(values, list) else DEFAULT_METRICS
        names = [step.get("use") if isinstance(step, dict) else step for step in metrics]
        # Metrics with problems of their own are named too: one problem is enough for one mistake.
        self.problems += check_selection(settings, [name for name in names if isinstance(name, str)])
        by_flag = any(override.path == ("seeds",) for override in recipe.overrides)
        if settings.seeds is not None and "seed" in recipe.values and not by_flag:
            self.warnings.append(_SEED_UNUSED)
        if settings.split.folds is not None and settings.split.test is not None:
            self.warnings.append("split.test is not used: with split.folds each fold is the test split once")


def check_features(encoder: Placed, trainer: Placed, registry: Registry) -> list[Problem]:
    """Check that a trainer reads what an encoder makes, and name the trainers that do."""
    maker, reader = encoder.step, trainer.step
    layout = encoder.traits.makes
    if layout is None:
        message = f"encoder '{maker.name}' ({maker.registration.plugin}) does not say what its features are"
        return [Problem(message, encoder.path, exit_code=5)]
    if _reads(trainer.traits, layout):
        return []
    trainers = _trainers(registry)
    fitting = [name for name, traits in trainers.items() if _reads(traits, layout)]
    reads = " or ".join(sorted(trainer.traits.reads)) or "nothing"
    message = f"trainer '{reader.name}' reads {reads}, but encoder '{maker.name}' makes {layout}"
    meant = _misspelt_layout(encoder, trainers.values()) or _misspelt_layout(trainer, trainers.values())
    known = f" (trainers that read {layout}: {listing(fitting) or 'none installed'})"
    return [Problem(f"{message}{known}{meant}", trainer.path)]


def _reads(traits: Traits | None, layout: str) -> bool:
    if traits is None:
        return False
    return layout in traits.reads or (layout == "counts" and "matrix" in traits.reads)


def _misspelt_layout(placed: Placed, trainers: Iterable[Traits | None]) -> str:
    """Return a hint where a step's word for a layout is unknown to all others and like one that is known."""
    step, traits = placed.step, placed.traits
    words = traits.reads if step.kind == "trainer" else {str(traits.makes)}
    read = {word for other in trainers if other for word in other.reads}
    known = sorted({*LAYOUTS, *(read - traits.reads)})
    for word in sorted(words.difference(known)):
        near = closest(word, known)
        if near:
            return f"; in the traits of {step.kind} '{step.name}', is '{word}' meant to be '{near}'?"
    return ""


def check_objectives(encoder: Placed, trainer: Placed, registry: Registry) -> list[Problem]:
    """Check that a trainer teaches what an encoder's network is to learn before the labels."""
    if not encoder.traits.objectives or trainer.traits.objectives:
        return []
    teaching = [name for name, traits in _trainers(registry).items() if traits and traits.objectives]
    known = f"trainers that do: {listing(teaching) or 'none installed'}"
    message = f"encoder '{encoder.step.name}' has something to learn before the labels, which trainer"
    return [Problem(f"{message} '{trainer.step.name}' does not teach ({known})", encoder.path)]


def _trainers(registry: Registry) -> dict[str, Traits | None]:
    """Return every trainer's traits with default options, None where the plugin does not give them."""

    def traits(name: str) -> Traits | None:
        try:
            return default_traits(registry.find("trainer", name))
        except PluginError:
            return None

    return {name: traits(name) for name in registry.names("trainer")}


def check_task(task: Task | None, pairs: bool, steps: Iterable[Placed]) -> list[Problem]:
    """Check that the steps can do the data's task, and can read pairs of texts."""
    problems = []
    for path, step, traits in steps:
        if task is not None and task not in traits.tasks:
            can = " and ".join(sorted(traits.tasks))
            problems.append(Problem(f"the data is {task}, but {step.kind} '{step.name}' does {can} only", path))
        if pairs and step.kind == "encoder" and not traits.pairs:
            message = f"the data is pairs of texts, but encoder '{step.name}' reads single texts only"
            problems.append(Problem(message, path))
    return problems


def readers_of_validation(settings: Settings, trainer: Placed | None) -> list[str]:
    """Name what reads a validation split."""
    readers = []
    if trainer is not None and trainer.traits.uses_validation:
        readers.append(f"trainer '{trainer.step.name}'")
    if settings.select is not None:
        readers.append(f"select: {settings.select}")
    if settings.decide.threshold == "tuned":
        readers.append("decide.threshold: tuned")
    return readers


def check_shares(settings: Settings, readers: Sequence[str]) -> list[Problem]:
    """Check that what reads a validation split has one, and that texts are left to train on."""
    split = settings.split
    problems = []
    if readers and split.validation == 0:
        verb = "reads" if len(readers) == 1 else "read"
        message = f"0 leaves no validation split, but {' and '.join(readers)} {verb} one"
        problems.append(Problem(message, ("split", "validation")))
    if (split.test or 0) + (split.validation or 0) >= 1:
        problems.append(Problem("test and validation together leave nothing to train on", ("split", "test")))
    return problems


def check_selection(settings: Settings, names: Sequence[str]) -> list[Problem]:
    """Check that `select` and the gates name metrics that the recipe computes."""
    named: list[tuple[str, KeyPath]] = [(gate, ("gates", gate)) for gate in settings.gates]
    if settings.select is not None:
        named.insert(0, (settings.select, ("select",)))
    problems = []
    for name, path in named:
        if name not in names:
            hint = did_you_mean(name, names) or "; add it to metrics"
            problems.append(Problem(f"'{name}' is not among the recipe's metrics ({listing(names)}){hint}", path))
    return problems
