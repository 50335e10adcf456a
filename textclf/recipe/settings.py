"""The settings of a recipe: all it may say beside the options of its components, bounded and described."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from ..data.cleaning import CLEANERS
from ..errors import KeyPath, Problem, did_you_mean, listing
from ..plugin.component import Kind, Options
from ..plugin.options import explain

DEFAULT_METRICS = ("accuracy", "f1_macro")
# The steps of a recipe, by their keys: one of a kind, or a list of them.
SINGLE_STEPS: tuple[Kind, ...] = ("dataset", "encoder", "trainer")
STEP_LISTS: dict[Kind, str] = {"metric": "metrics", "output": "outputs"}
SEED_LIMIT = 2**32 - 1
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._\-]{0,99}$"
_NAMES_A_FOLDER = (
    "must be 1 to 100 letters, digits, '.', '_' and '-', not beginning with '.' or '-', since it names a folder"
)


def _run_name(name: str) -> str:
    if name == "latest":
        raise ValueError("'latest' means the newest run of all; choose another name")
    if not re.fullmatch(_NAME.strip("^$"), name):
        raise ValueError(_NAMES_A_FOLDER)
    return name


def _cleaner(name: str) -> str:
    if name not in CLEANERS:
        raise ValueError(
            f"no cleaning step is called '{name}'{did_you_mean(name, CLEANERS)} (known: {listing(list(CLEANERS))})"
        )
    return name


def _distinct(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names a seed twice")
    return values


# Editors show `patternErrorMessage` in place of a pattern that few can read.
Name = Annotated[
    str,
    AfterValidator(_run_name),
    Field(json_schema_extra={"pattern": _NAME, "patternErrorMessage": _NAMES_A_FOLDER}),
]
Cleaner = Annotated[str, AfterValidator(_cleaner), Field(json_schema_extra={"enum": list(CLEANERS)})]
Seed = Annotated[int, Field(ge=0, le=SEED_LIMIT)]
Share = Annotated[float, Field(ge=0, le=1)]


class StepSettings(Options):
    """A component by its name; everything beside `use` is an option of that component."""

    model_config = ConfigDict(extra="allow")

    use: str = Field(min_length=1, max_length=100, description="the component's name")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class SplitSettings(Options):
    """How the texts are split: deterministic, stratified, equal texts and groups on one side. Shares of the whole."""

    test: float | None = Field(None, gt=0, lt=1, description="share held out for test; default 0.2 or the dataset's")
    validation: float | None = Field(
        None, ge=0, lt=1, description="share for choosing, drawn only where it is read; default 0.1 or the dataset's"
    )
    seed: Seed = Field(0, description="seed of the split, part of the data: runs that differ in `seed` share it")
    group: bool = Field(True, description="keep the rows of one group on one side")
    limit: int | None = Field(None, ge=2, description="use only so many texts, drawn evenly")
    labelled: int | None = Field(
        None, ge=2, description="train on the labels of so many texts, drawn evenly; the others lose theirs"
    )
    folds: int | None = Field(None, ge=2, le=100, description="cross-validate: each fold is the test split once")
    leaks: Literal["warn", "refuse"] = Field("warn", description="about texts on both sides of a given split")
    empty: Literal["keep", "drop", "refuse"] = Field("keep", description="about empty texts")


class DecideSettings(Options):
    """How scores become labels."""

    threshold: Share | Literal["tuned"] | None = Field(
        None, description="score a label must reach; `tuned` finds it on validation; default: the best score, or 0.5"
    )
    abstain_below: float = Field(0.0, ge=0, le=1, description="give no label where the best score is below this")


class ReportSettings(Options):
    """What a report holds."""

    texts: bool = Field(True, description="write the texts into predictions.csv")
    draws: int = Field(2000, ge=100, le=100_000, description="bootstrap draws behind each interval")


class Settings(Options):
    """A recipe: which data, encoder and trainer, and how the result is evaluated."""

    version: Literal[1] = Field(1, description="version of the recipe format")
    name: Name = Field("recipe", description="names the folder of the runs: runs/NAME/...")
    seed: Seed = Field(0, description="seed of training; the split has its own")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000), AfterValidator(_distinct)] | None = Field(
        None, description="a study: one run for each of these seeds, and a summary"
    )
    dataset: StepSettings | None = Field(None, description="where the texts come from")
    clean: tuple[Cleaner, ...] = Field((), description="cleaning steps, applied in order in training and prediction")
    split: SplitSettings = Field(default_factory=SplitSettings, description="how the texts are split")
    encoder: StepSettings | None = Field(None, description="what turns texts into features")
    trainer: StepSettings | None = Field(None, description="what learns from features")
    metrics: tuple[StepSettings, ...] = Field(
        tuple(StepSettings(use=name) for name in DEFAULT_METRICS),
        min_length=1,
        description="how predictions are evaluated",
    )
    select: str | None = Field(None, description="metric that picks the best epoch on validation; default: the first")
    decide: DecideSettings = Field(default_factory=DecideSettings, description="how scores become labels")
    gates: dict[str, float] = Field(
        default_factory=dict, description="least value of a metric: exit code 8 where the interval's lower end is below"
    )
    outputs: tuple[StepSettings, ...] = Field((), description="what to write beside the report")
    report: ReportSettings = Field(default_factory=ReportSettings, description="what a report holds")


def read_settings(values: Mapping[str, Any]) -> tuple[Settings, list[Problem]]:
    """Validate a recipe's values; where some are wrong, return the settings without them, and every problem."""
    rest = _expanded(values)
    problems: list[Problem] = []
    while True:
        try:
            return Settings.model_validate_json(json.dumps(rest)), problems
        except ValidationError as error:
            found = explain(error, Settings, rest)
            problems = problems or found
            _remove(rest, [problem.path for problem in found])


def _expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy in which bare names are mappings, and null is left out."""
    copied = {key: copy.deepcopy(value) for key, value in values.items() if value is not None}
    for kind in SINGLE_STEPS:
        if isinstance(copied.get(kind), str):
            copied[kind] = {"use": copied[kind]}
    for key in STEP_LISTS.values():
        if isinstance(copied.get(key), list):
            copied[key] = [{"use": step} if isinstance(step, str) else step for step in copied[key]]
    return copied


def _remove(values: dict[str, Any], paths: Sequence[KeyPath]) -> None:
    """Remove the values at `paths`, or what stands above a value that is missing."""
    # The last entries of a list go first, so that the indexes of the others stay right.
    for path in sorted(set(paths), key=lambda p: [step if isinstance(step, int) else 0 for step in p], reverse=True):
        holder: Any = values
        above: list[tuple[Any, str | int]] = []
        for step in path:
            above.append((holder, step))
            inside = isinstance(holder, dict) and step in holder
            inside = inside or (isinstance(holder, list) and isinstance(step, int) and step < len(holder))
            if not inside:
                above.pop()
                break
            holder = holder[step]
        if above:
            owner, step = above[-1]
            del owner[step]
        else:
            values.clear()
