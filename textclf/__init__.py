"""Train, evaluate and use text classifiers from one declarative recipe. The public names load when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOMES = {
    "ArtefactError": "errors", "Cancelled": "errors", "DataError": "errors", "DivergedError": "errors",
    "DownloadError": "errors", "GateError": "errors", "Location": "errors", "PluginError": "errors",
    "Problem": "errors", "RecipeError": "errors", "ResourceError": "errors", "Stopped": "errors",
    "TextclfError": "errors", "did_you_mean": "errors",
    "Dataset": "data.dataset", "Labels": "data.dataset", "Split": "data.dataset", "Task": "data.dataset",
    "Texts": "data.dataset", "COLUMN_NAMES": "data.inputs",
    "Answers": "data.predictions", "Prediction": "data.predictions", "Counts": "data.predictions",
    "Decision": "data.predictions", "Encoded": "data.predictions", "Predictions": "data.predictions",
    "Attributions": "data.explanation", "Explanation": "data.explanation", "Explanations": "data.explanation",
    "Span": "data.explanation", "Word": "data.explanation",
    "Tokens": "data.tokens",
    "Markup": "data.html", "escaped": "data.html", "quoted": "data.html", "visible": "data.html",
    "Row": "tables.reader", "Table": "tables.reader", "read_table": "tables.reader", "table_format": "tables.reader",
    "write_table": "tables.writer",
    "Checkpoints": "plugin.protocols", "Context": "plugin.protocols", "DatasetProvider": "plugin.protocols",
    "Encoder": "plugin.protocols", "Finished": "plugin.protocols", "Judgement": "plugin.protocols",
    "Layout": "plugin.protocols", "Metric": "plugin.protocols", "Model": "plugin.protocols",
    "Objective": "plugin.protocols", "Output": "plugin.protocols", "TokenEncoder": "plugin.protocols",
    "Trainer": "plugin.protocols",
    "Component": "plugin.component", "NoOptions": "plugin.component", "Options": "plugin.component",
    "Traits": "plugin.component",
    "Event": "plugin.events", "Accounted": "plugin.events", "CheckpointSaved": "plugin.events",
    "Chosen": "plugin.events", "EpochFinished": "plugin.events", "Forecast": "plugin.events",
    "Progress": "plugin.events", "RunFailed": "plugin.events", "RunFinished": "plugin.events",
    "RunStarted": "plugin.events", "StageFinished": "plugin.events", "StageStarted": "plugin.events",
    "Warned": "plugin.events",
    "hookimpl": "plugin.hookspecs",
    "DownloadLimits": "downloads", "Transfer": "downloads", "download": "downloads", "drop_unreadable": "downloads",
    "Recipe": "recipe.recipe",
    "Classifier": "model.classifier",
    "Comparison": "compare.comparison",
    "Report": "evaluation.report",
    "Engine": "engine", "Result": "engine",
}  # fmt: skip

__all__ = ["Field", "__version__", *_HOMES]

# Public names that have another name now: {"Old": ("New", "0.3")} is known until textclf-engine 0.3, and warns.
_DEPRECATED: dict[str, tuple[str, str]] = {}

if TYPE_CHECKING:
    from pydantic import Field as Field

    from .compare.comparison import Comparison as Comparison
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
    from .data.inputs import COLUMN_NAMES as COLUMN_NAMES
    from .data.predictions import Answers as Answers
    from .data.predictions import Counts as Counts
    from .data.predictions import Decision as Decision
    from .data.predictions import Encoded as Encoded
    from .data.predictions import Prediction as Prediction
    from .data.predictions import Predictions as Predictions
    from .data.tokens import Tokens as Tokens
    from .downloads import DownloadLimits as DownloadLimits
    from .downloads import Transfer as Transfer
    from .downloads import download as download
    from .downloads import drop_unreadable as drop_unreadable
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
    from .evaluation.report import Report as Report
    from .model.classifier import Classifier as Classifier
    from .plugin.component import Component as Component
    from .plugin.component import NoOptions as NoOptions
    from .plugin.component import Options as Options
    from .plugin.component import Traits as Traits
    from .plugin.events import Accounted as Accounted
    from .plugin.events import CheckpointSaved as CheckpointSaved
    from .plugin.events import Chosen as Chosen
    from .plugin.events import EpochFinished as EpochFinished
    from .plugin.events import Event as Event
    from .plugin.events import Forecast as Forecast
    from .plugin.events import Progress as Progress
    from .plugin.events import RunFailed as RunFailed
    from .plugin.events import RunFinished as RunFinished
    from .plugin.events import RunStarted as RunStarted
    from .plugin.events import StageFinished as StageFinished
    from .plugin.events import StageStarted as StageStarted
    from .plugin.events import Warned as Warned
    from .plugin.hookspecs import hookimpl as hookimpl
    from .plugin.protocols import Checkpoints as Checkpoints
    from .plugin.protocols import Context as Context
    from .plugin.protocols import DatasetProvider as DatasetProvider
    from .plugin.protocols import Encoder as Encoder
    from .plugin.protocols import Finished as Finished
    from .plugin.protocols import Judgement as Judgement
    from .plugin.protocols import Layout as Layout
    from .plugin.protocols import Metric as Metric
    from .plugin.protocols import Model as Model
    from .plugin.protocols import Objective as Objective
    from .plugin.protocols import Output as Output
    from .plugin.protocols import TokenEncoder as TokenEncoder
    from .plugin.protocols import Trainer as Trainer
    from .recipe.recipe import Recipe as Recipe
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
