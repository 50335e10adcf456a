"""The predictions of a run as files, predictions.csv and scores.npy, written and read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.cleaning import clean
from ..data.dataset import Labels, Split, Texts
from ..data.predictions import ABSTAINED, Predictions, named, shortest
from ..data.splits import text_keys
from ..errors import ArtefactError, DataError, PluginError, counted
from ..evaluation.evaluate import Evaluation
from ..evaluation.metrics import CheckedMetric, bootstrap
from ..evaluation.report import Report
from ..files import disk_errors, write_file
from ..model.folder import restored_step
from ..plugin.protocols import Metric
from ..plugin.registry import Registry
from ..plugin.validation import validate_scores
from ..recipe.plan import Plan
from ..recipe.settings import DEFAULT_METRICS
from ..tables.reader import Row, read_table
from ..tables.writer import write_table
from .folder import RunFolder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..model.classifier import Classifier


PREDICTIONS, SCORES = "predictions.csv", "scores.npy"


def write_predictions(folder: Path, predictions: Predictions, *, texts: bool) -> None:
    """Write predictions.csv (id, label, predicted, score, one score a label, the texts) and scores.npy."""
    import numpy as np

    labels = predictions.labels
    columns = ["id", "label", "predicted", "score", *(f"score_{name}" for name in labels.names)]
    second, groups = predictions.texts.second, predictions.groups
    columns += [] if groups is None else ["group"]
    if texts:
        columns += ["text"] if second is None else ["text", "pair"]
    truth, decided = named(predictions.truth, labels), named(predictions.predicted, labels)
    with disk_errors(folder / PREDICTIONS), write_table(folder / PREDICTIONS, columns) as write:
        for row, scores in enumerate(predictions.scores):
            best: Any = None if labels.task == "multi-label" else shortest(_decided_score(predictions, row))
            values = [predictions.ids[row], _cell(truth[row]), _cell(decided[row]), best, *map(shortest, scores)]
            values += [] if groups is None else [groups[row]]
            if texts:
                values.append(predictions.texts.first[row])
                values += [] if second is None else [second[row]]
            write(values)

    def save(part: Path) -> None:
        with part.open("wb") as file:
            np.save(file, predictions.scores, allow_pickle=False)

    write_file(folder / SCORES, save)


def _decided_score(predictions: Predictions, row: int) -> Any:
    column, scores = predictions.predicted[row], predictions.scores[row]
    return scores.max() if column < 0 else scores[column]


def _cell(names: str | list[str]) -> str:
    """Write several labels as JSON, since a label may hold any separator."""
    return names if isinstance(names, str) else json.dumps(names, ensure_ascii=False)


def read_predictions(run: RunFolder, report: Report | None = None) -> Predictions:
    """Read what a run predicted for its test texts; the texts themselves are left out. report: where it is read."""
    try:
        return _predictions(run.path, report or Report.load(run.path), run.record.get("positive"))
    except (ArtefactError, DataError) as error:
        raise ArtefactError(f"{run.path} is damaged, run the recipe again: {error}") from None


def _predictions(folder: Path, report: Report, positive: str | None) -> Predictions:
    labels = Labels(report.labels, report.task, positive)
    with read_table(folder / PREDICTIONS, name=PREDICTIONS) as table:
        rows = list(table)
    if len(rows) != report.sizes.get("test"):
        tested = report.sizes.get("test", 0)
        raise ArtefactError(f"{PREDICTIONS} has {counted(len(rows), 'row')}, but the run was tested on {tested}")
    scores = _scores(folder / SCORES)
    if wrong := validate_scores(scores, len(rows), labels):
        raise ArtefactError(f"{SCORES} has {wrong}")
    groups = [row.text("group") for row in rows] if rows and "group" in rows[0].values else None
    ids = [row.text("id") for row in rows]
    truth, predicted = _columns(rows, "label", labels), _columns(rows, "predicted", labels)
    return Predictions(labels, truth, predicted, scores, Texts([""] * len(rows)), ids, groups)


def _scores(path: Path) -> NDArray[Any]:
    import numpy as np

    try:
        with path.open("rb") as file:
            found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise ArtefactError(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, EOFError, MemoryError):
        raise ArtefactError(f"{path.name} is cut off, or no file of textclf's") from None
    return found


def _columns(rows: Sequence[Row], column: str, labels: Labels) -> NDArray[Any]:
    """Return a column of label names as Predictions holds it."""
    import numpy as np

    cells = [row.text(column) for row in rows]
    if labels.task == "multi-label":
        return labels.encode_sets([_listed(_bare(cell, ()), column) for cell in cells])
    columns = {name: i for i, name in enumerate(labels.names)} | {"": ABSTAINED}
    if "" in labels.names:
        columns[""] = labels.names.index("")
    names = [_bare(cell, labels.names) for cell in cells]
    unknown = sorted(set(names) - set(columns))
    if unknown:
        raise ArtefactError(f"{PREDICTIONS} has the {column} '{unknown[0]}', which is none of the run's labels")
    return np.array([columns[name] for name in names], np.int64)


def _listed(cell: str, column: str) -> list[str]:
    """Return the labels of a cell that `_cell` wrote as JSON."""
    try:
        names = json.loads(cell)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArtefactError(f"{PREDICTIONS} has the {column} '{cell}', which is no list of labels")
    return names


def _bare(cell: str, names: Sequence[str]) -> str:
    """Remove the apostrophe that prevents spreadsheets from running a cell as a formula."""
    return cell[1:] if cell.startswith("'") and cell not in names else cell


def usual_metrics(registry: Registry) -> dict[str, Metric]:
    """Return the metrics of a recipe that names none."""
    return {name: CheckedMetric(restored_step("metric", {"use": name}, registry)) for name in DEFAULT_METRICS}


def metrics_of(classifier: Classifier, registry: Registry) -> tuple[dict[str, Metric], tuple[str, ...]]:
    """Return the metrics of a classifier's recipe, or the usual ones, and a warning for each that is missing."""
    found: dict[str, Metric] = {}
    warnings = []
    for saved in classifier.metrics:
        try:
            step = restored_step("metric", saved, registry)
            found[step.name] = CheckedMetric(step)
        except PluginError as error:
            warnings.append(f"metric '{saved.get('use')}' is left out: {error}")
    return found or usual_metrics(registry), tuple(warnings)


def predict(classifier: Classifier, split: Split) -> Predictions:
    """Return a classifier's predictions of labelled texts."""
    if classifier.pairs and not split.texts.pairs:
        raise DataError("this classifier was trained on pairs of texts; give (texts, pairs, labels)")
    scores = classifier.scores(split.texts)
    decided = classifier.decide(scores)
    return Predictions(classifier.labels, split.labels, decided, scores, split.texts, split.ids, split.groups)


def seen_in_training(folder: Path, classifier: Classifier, split: Split) -> tuple[str, ...]:
    """Warn of texts that the run of a classifier was trained on: their score says nothing."""
    known = RunFolder(folder).training_keys()
    cleaned = replace(split, texts=clean(split.texts, classifier.cleaning))
    seen = sum(key in known for key in text_keys(cleaned))
    if not seen:
        return ()
    were = "was" if seen == 1 else "were"
    return (f"{seen} of these {len(split)} texts {were} trained on: the score is too good by that; evaluate others",)


def evaluation_of(run: RunFolder, plan: Plan) -> Evaluation:
    """Measure a finished run again from its files, by the plan's metrics; the draws are those of its report."""
    report = Report.load(run.path)
    predictions = read_predictions(run, report)
    found = {step.name: CheckedMetric(step) for step in plan.metrics}
    ordered = {name: found[name] for name in report.metrics}
    [samples] = bootstrap(ordered, [predictions], plan.settings.report.draws)
    return Evaluation(predictions, samples, report.baseline)
