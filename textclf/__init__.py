"""Train, judge and use text classifiers from one declarative recipe. The public names load when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import VERSION

__version__ = VERSION

_HOMES = {
    "ArtefactError": "errors", "Cancelled": "errors", "DataError": "errors", "DivergedError": "errors",
    "DownloadError": "errors", "GateError": "errors", "Location": "errors", "PluginError": "errors",
    "Problem": "errors", "RecipeError": "errors", "ResourceError": "errors", "Stopped": "errors",
    "TextclfError": "errors", "did_you_mean": "errors",
    "Dataset": "data.dataset", "Labels": "data.dataset", "Split": "data.dataset", "Task": "data.dataset",
    "Texts": "data.dataset",
    "Answers": "data.predictions", "Prediction": "data.predictions",
    "Counts": "data.predictions", "Decision": "data.predictions", "Encoded": "data.predictions",
    "Predictions": "data.predictions",
    "Attributions": "data.explanation", "Explanation": "data.explanation",
    "Explanations": "data.explanation", "Span": "data.explanation", "Word": "data.explanation",
    "Tokens": "data.tokens",
    "Markup": "data.html", "escaped": "data.html", "quoted": "data.html", "visible": "data.html",
    "Row": "tables.reader", "Table": "tables.reader", "read_table": "tables.reader",
    "table_format": "tables.reader", "write_table": "tables.writer",
    "Checkpoints": "hooks.contracts", "Context": "hooks.contracts", "DatasetProvider": "hooks.contracts",
    "Encoder": "hooks.contracts", "Finished": "hooks.contracts", "Judgement": "hooks.contracts",
    "Layout": "hooks.contracts", "Metric": "hooks.contracts", "Model": "hooks.contracts",
    "Objective": "hooks.contracts", "Output": "hooks.contracts", "TokenEncoder": "hooks.contracts",
    "Trainer": "hooks.contracts",
    "Component": "hooks.components", "NoOptions": "hooks.components", "Options": "hooks.components",
    "Traits": "hooks.components",
    "Event": "hooks.events", "Accounted": "hooks.events", "CheckpointSaved": "hooks.events", "Chosen": "hooks.events",
    "EpochFinished": "hooks.events", "Forecast": "hooks.events", "Progress": "hooks.events",
    "RunFailed": "hooks.events", "RunFinished": "hooks.events", "RunStarted": "hooks.events",
    "StageFinished": "hooks.events", "StageStarted": "hooks.events", "Warned": "hooks.events",
    "hookimpl": "hooks.hookspecs",
    "Recipe": "recipe.recipe",
    "Classifier": "classifier",
    "Comparison": "runs.comparison", "Report": "runs.report",
    "Engine": "engine", "Result": "engine",
}  # fmt: skip

__all__ = ["Field", "__version__", *_HOMES]

# Public names that have another name now: {"Old": ("New", "0.3")} is known until textclf-engine 0.3, and warns.
_DEPRECATED: dict[str, tuple[str, str]] = {}

if TYPE_CHECKING:
    from pydantic import Field as Field

    from .classifier import Classifier as Classifier
    from .data.dataset import Dataset as Dataset
    from .data.dataset import Labels as Labels
    from .data.dataset import Split as Split
    from .data.dataset import Task as Task
    from .data.dataset import Texts as Texts
    from .data.explanation import Attributions as Attributions
    from .data.explanation import Explanation as Explanation
    from .data.explanation import Explanations as Explanations
    from .data.explanation import Span as Span
    from .data.explanation import Word as Word
    from .data.html import Markup as Markup
    from .data.html import escaped as escaped
    from .data.html import quoted as quoted
    from .data.html import visible as visible
    from .data.predictions import Answers as Answers
    from .data.predictions import Counts as Counts
    from .data.predictions import Decision as Decision
    from .data.predictions import Encoded as Encoded
    from .data.predictions import Prediction as Prediction
    from .data.predictions import Predictions as Predictions
    from .data.tokens import Tokens as Tokens
    from .engine import Engine as Engine
    from .engine import Result as Result
    from .errors import ArtefactError as ArtefactError
    from .errors import Cancelled as Cancelled
    from .errors import DataError as DataError
    from .errors import DivergedError as DivergedError
    from .errors import DownloadError as DownloadError
    from .errors import GateError as GateError
    from .errors import Location as Location
    from .errors import PluginError as PluginError
    from .errors import Problem as Problem
    from .errors import RecipeError as RecipeError
    from .errors import ResourceError as ResourceError
    from .errors import Stopped as Stopped
    from .errors import TextclfError as TextclfError
    from .errors import did_you_mean as did_you_mean
    from .hooks.components import Component as Component
    from .hooks.components import NoOptions as NoOptions
    from .hooks.components import Options as Options
    from .hooks.components import Traits as Traits
    from .hooks.contracts import Checkpoints as Checkpoints
    from .hooks.contracts import Context as Context
    from .hooks.contracts import DatasetProvider as DatasetProvider
    from .hooks.contracts import Encoder as Encoder
    from .hooks.contracts import Finished as Finished
    from .hooks.contracts import Judgement as Judgement
    from .hooks.contracts import Layout as Layout
    from .hooks.contracts import Metric as Metric
    from .hooks.contracts import Model as Model
    from .hooks.contracts import Objective as Objective
    from .hooks.contracts import Output as Output
    from .hooks.contracts import TokenEncoder as TokenEncoder
    from .hooks.contracts import Trainer as Trainer
    from .hooks.events import Accounted as Accounted
    from .hooks.events import CheckpointSaved as CheckpointSaved
    from .hooks.events import Chosen as Chosen
    from .hooks.events import EpochFinished as EpochFinished
    from .hooks.events import Event as Event
    from .hooks.events import Forecast as Forecast
    from .hooks.events import Progress as Progress
    from .hooks.events import RunFailed as RunFailed
    from .hooks.events import RunFinished as RunFinished
    from .hooks.events import RunStarted as RunStarted
    from .hooks.events import StageFinished as StageFinished
    from .hooks.events import StageStarted as StageStarted
    from .hooks.events import Warned as Warned
    from .hooks.hookspecs import hookimpl as hookimpl
    from .recipe.recipe import Recipe as Recipe
    from .runs.comparison import Comparison as Comparison
    from .runs.report import Report as Report
    from .tables.reader import Row as Row
    from .tables.reader import Table as Table
    from .tables.reader import read_table as read_table
    from .tables.reader import table_format as table_format
    from .tables.writer import write_table as write_table


def __getattr__(name: str) -> Any:
    if name == "Field":
        from pydantic import Field

        return Field
    if name in _DEPRECATED:
        import warnings

        new, until = _DEPRECATED[name]
        message = f"textclf.{name} is now textclf.{new}; the old name goes in textclf-engine {until}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)  # at the line of who uses it, and for each who does
        return __getattr__(new)
    if name not in _HOMES:
        raise AttributeError(f"module 'textclf' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
