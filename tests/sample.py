"""A small plugin for tests of recipes and plans: four kinds of components with options of every type."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Literal

import pytest

from textclf import Component, Field, NoOptions, Options, Problem, Recipe, RecipeError, Traits
from textclf.plugin.discovery import discover
from textclf.recipe.plan import make_plan

BOTH = frozenset({"single-label", "multi-label"})
SOUND = {"dataset": "rows", "encoder": "words", "trainer": "linear", "metrics": ["accuracy"]}


class RowsOptions(Options):
    multi: bool = Field(False, description="several labels a text")
    pairs: bool = Field(False, description="pairs of texts")


class FilesOptions(Options):
    path: Path = Field(description="the table")
    columns: tuple[str, ...] = Field((), description="columns to join")
    rename: dict[str, str] = Field({}, description="labels by another name")


class Layer(Options):
    width: int = Field(8, ge=1, description="units")


class NetOptions(Options):
    batch_size: int = Field(32, ge=1, description="texts a step")
    learning_rate: float = Field(2e-5, gt=0, le=1, description="size of a step")
    epochs: int = Field(2, ge=1, le=100, description="passes over the texts")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="of the learning rate")
    shuffle: bool = Field(True, description="draw the order anew each epoch")
    layers: tuple[Layer, ...] = Field((), description="hidden layers")
    device: str | None = Field(None, min_length=1, description="where to train")


class Built:
    """Keeps every contract by doing nothing, for plans that are never run."""

    greater_is_better = True
    reads_scores = False

    def nothing(self, *args: object) -> None:
        return None

    load = fit = encode = fingerprint = save = train = restore = write = __call__ = nothing


def build(options: Options) -> Built:
    return Built()


def missing_file(options: FilesOptions) -> list[Problem]:
    return [] if options.path.is_file() else [Problem(f"no file is called '{options.path}'", ("path",))]


def rows_traits(options: RowsOptions) -> Traits:
    return Traits(tasks=frozenset({"multi-label" if options.multi else "single-label"}), pairs=options.pairs)


def textclf_datasets():
    return [
        Component(name="rows", options=RowsOptions, build=build, traits=rows_traits),
        Component(name="files", options=FilesOptions, build=build, check=missing_file),
    ]


def textclf_encoders():
    return [
        Component(name="words", build=build, traits=Traits(makes="counts", tasks=BOTH, pairs=True)),
        Component(name="vectors", build=build, traits=Traits(makes="matrix", tasks=BOTH)),
        Component(name="bert", build=build, traits=Traits(makes="tokens", tasks=BOTH)),
        Component(
            name="absent", build=build, traits=Traits(makes="tokens"), needs=("no_such_library", "json.no_such_part"),
            install="no-such-library>=2",
        ),
    ]  # fmt: skip


def textclf_trainers():
    reads = frozenset({"matrix"})
    return [
        Component(name="linear", build=build, traits=Traits(reads=reads, tasks=BOTH)),
        Component(name="bayes", build=build, traits=Traits(reads=frozenset({"counts"}))),
        Component(
            name="net", options=NetOptions, build=build,
            traits=Traits(reads=frozenset({"tokens"}), tasks=BOTH, uses_validation=True),
        ),
    ]  # fmt: skip


def textclf_metrics():
    tasks = {"accuracy": BOTH, "f1_macro": BOTH, "roc_auc": frozenset({"single-label"})}
    return [Component(name=name, build=build, traits=Traits(tasks=of)) for name, of in tasks.items()]


def textclf_outputs():
    return [Component(name="card", build=build, options=NoOptions)]


def plugin(name: str, **functions: object) -> types.ModuleType:
    """Return a module that has the given functions as its hooks."""
    module = types.ModuleType(name)
    for hook, function in functions.items():
        setattr(module, hook, function)
    return module


SAMPLE = plugin(
    "textclf_sample",
    textclf_datasets=textclf_datasets,
    textclf_encoders=textclf_encoders,
    textclf_trainers=textclf_trainers,
    textclf_metrics=textclf_metrics,
    textclf_outputs=textclf_outputs,
)


def registry(*others: object):
    """Return what the sample plugin and the others offer, without the installed ones."""
    return discover([SAMPLE, *others], entry_points=False)


def plan_of(values, *others, overrides=(), **keywords):
    return make_plan(Recipe.from_mapping(values, overrides), registry(*others), **keywords)


def refusal(values, *others, **keywords) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        plan_of(values, *others, **keywords)
    return caught.value


def complaints(values, *others, **keywords) -> list[str]:
    return [str(problem) for problem in refusal(values, *others, **keywords).problems]
