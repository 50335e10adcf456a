"""Rows of a user's table: the columns that hold texts and labels, and rows written with predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from ..data.inputs import COLUMN_NAMES
from ..errors import DataError, RecipeError, TextclfError, did_you_mean, listing
from .format import fixed, shorten
from .terminal import Terminal

if TYPE_CHECKING:
    from ..data.predictions import Prediction
    from ..engine import Engine
    from ..model.classifier import Classifier
    from ..tables.reader import Row

FORMATS = ("csv", "tsv", "jsonl", "parquet")

Role = Literal["text", "pair", "label"]
_TRUE = {"1", "1.0", "true"}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns by role: those that options name, or, after `find`, all there are.

    Several `text` columns are one text, joined by line breaks; several `label` columns are labels with 0 or 1 each.
    """

    text: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    label: tuple[str, ...] = ()

    def find(self, table: str, columns: Sequence[str], dataset: Mapping[str, Any], roles: Sequence[Role]) -> Columns:
        """Return the columns for the roles: those named here, by the dataset's options, or usually called so."""
        found = {role: self._find(role, table, columns, dataset) for role in roles}
        missing = [role for role in roles if not found[role]]
        if missing:
            what = f"column{'s are' if missing[1:] else ' is'} {' and '.join(f'the {role}' for role in missing)}"
            hint = " ".join(f"--{role} COLUMN" for role in missing)
            raise RecipeError(f"{table} does not tell which {what}; say {hint} (columns: {listing(columns)})")
        return Columns(**found)

    def _find(self, role: Role, table: str, columns: Sequence[str], dataset: Mapping[str, Any]) -> tuple[str, ...]:
        named: tuple[str, ...] = getattr(self, role)
        for column in named:
            if column not in columns:
                meant = did_you_mean(column, columns)
                raise RecipeError(f"{table} has no column '{column}'{meant} (columns: {listing(columns)})")
        usual = [(name,) for name in COLUMN_NAMES[role]]
        for names in (named, _names(dataset.get(role)), _names(dataset.get(f"{role}s")), *usual):
            if names and all(name in columns for name in names):
                return names
        return tuple(columns) if len(columns) == 1 and role == "text" else ()

    def text_of(self, row: Row) -> str | tuple[str, str]:
        """Return a row's text, or its pair of texts."""
        parts = [row.text(name) for name in self.text]
        text = parts[0] if len(parts) == 1 else "\n".join(part for part in parts if part)
        return (text, row.text(self.pair[0])) if self.pair else text

    def label_of(self, row: Row, dataset: Mapping[str, Any]) -> str:
        return _renamed(row.text(self.label[0]), dataset)

    def labels_of(self, row: Row, dataset: Mapping[str, Any]) -> list[str]:
        """Return a row's labels in a multi-label task: a JSON list, delimited names, or a column of 0 or 1 each."""
        if len(self.label) > 1:
            return [name for name in self.label if row.text(name).strip().lower() in _TRUE]
        value = row.values.get(self.label[0])
        if not isinstance(value, (list, tuple)):
            text = row.text(self.label[0]).strip()
            delimiter = str(dataset.get("labels_delimiter", ","))
            value = _json_list(text, row) if text.startswith("[") else [part.strip() for part in text.split(delimiter)]
        return list(dict.fromkeys(_renamed(str(name), dataset) for name in value if name != ""))


def _names(option: Any) -> tuple[str, ...]:
    """Return what an option of a dataset names as columns; options of other kinds name none."""
    names = [option] if isinstance(option, str) else option
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _renamed(label: str, dataset: Mapping[str, Any]) -> str:
    """Return the label as the dataset's `label_names` calls it."""
    names = dataset.get("label_names")
    return str(names.get(label, label)) if isinstance(names, dict) else label


def _json_list(text: str, row: Row) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise DataError(f"{row.place}: the labels begin like a JSON list and are none: '{text[:40]}'")
    return value


def is_model(run: str) -> bool:
    """Tell whether RUN names a model folder that lies alone, without its run."""
    return Path(run, "textclf.json").is_file() and not Path(run).parent.joinpath("record.json").is_file()


def dataset_options(engine: Engine, run: str) -> dict[str, Any]:
    """Return the options of the dataset that a run was trained on; none where only its model folder is left."""
    import yaml

    from ..run.folder import RECIPE

    try:
        recipe = yaml.safe_load((engine.find(run) / RECIPE).read_text(encoding="utf-8"))
        options = recipe["dataset"]
    except (TextclfError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return options if isinstance(options, dict) else {}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What is known of the tables of a call: the user's options, and those of the `dataset` of the training."""

    columns: Columns = Columns()
    encoding: str = "utf-8"
    format: str | None = None
    raw: bool = False
    dataset: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to classify: the columns to write again, and each row's values with its text, or pair of texts.

    total: how many there are. share: how much of the file has been read. Either may be unknown.
    """

    columns: tuple[str, ...]
    items: Iterable[tuple[tuple[Any, ...], str | tuple[str, str]]]
    total: Callable[[], int | None] = lambda: None
    share: Callable[[], float | None] = lambda: None


def rows_of_texts(texts: Iterable[str], pair: str | None) -> Rows:
    """Return texts, each with the second text where there is one."""
    if pair is not None:
        return Rows(("text", "pair"), (((text, pair), (text, pair)) for text in texts))
    return Rows(("text",), (((text,), text) for text in texts))


def decoded_lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a stream of UTF-8, without their ends."""
    for number, line in enumerate(stream, 1):
        yield decode(line, f"stdin: line {number}, ").rstrip("\r\n")


def decode(data: bytes, place: str) -> str:
    """Decode UTF-8; a DataError names the place of the byte that is none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"{place}byte {error.start + 1}: is no UTF-8 text"
        raise DataError(f"{message}; convert it first, as with iconv -f LATIN1 -t UTF-8") from None


@contextmanager
def rows_of_table(source: str | BinaryIO, options: ReadOptions, pairs: bool) -> Iterator[Rows]:
    """Open a table, and find the columns of the texts."""
    from ..tables.reader import read_table

    name = source if isinstance(source, str) else "stdin"
    place = Path(source) if isinstance(source, str) else source
    with read_table(place, name=name, encoding=options.encoding) as table:
        roles: tuple[Role, ...] = ("text", "pair") if pairs else ("text",)
        columns = options.columns.find(name, table.columns, options.dataset, roles)
        items = ((tuple(row.values.get(column) for column in table.columns), columns.text_of(row)) for row in table)
        yield Rows(tuple(table.columns), items, lambda: table.total, table.share)


WriteRow = Callable[[tuple[Any, ...], "Prediction"], None]


@contextmanager
def prediction_writer(
    terminal: Terminal, target: str | None, columns: tuple[str, ...], classifier: Classifier, options: ReadOptions
) -> Iterator[WriteRow]:
    """Yield a function that writes a row and its prediction: lines for a person at a terminal, else a table."""
    if target is None and options.format is None and terminal.out.isatty():
        yield _line_writer(terminal, classifier)
        return
    from ..tables.writer import write_table

    names = classifier.labels.names
    score = () if classifier.labels.task == "multi-label" else ("score",)
    added = ("predicted", *score, *(f"score_{name}" for name in names))
    place = terminal.out.buffer if target in (None, "-") else Path(str(target))
    format: Any = options.format or ("csv" if target in (None, "-") else None)
    with write_table(place, (*columns, *_unique(added, columns)), format=format, raw=options.raw) as write:

        def write_row(values: tuple[Any, ...], prediction: Prediction) -> None:
            label = list(prediction.label) if isinstance(prediction.label, tuple) else prediction.label
            best = () if isinstance(prediction.label, tuple) else (prediction.score,)
            write((*values, label, *best, *(prediction.scores[name] for name in names)))

        yield write_row


def _line_writer(terminal: Terminal, classifier: Classifier) -> WriteRow:
    width = max(6, min(max(map(len, classifier.labels.names), default=1), 24))

    def write_line(values: tuple[Any, ...], prediction: Prediction) -> None:
        label = ", ".join(prediction.label) if isinstance(prediction.label, tuple) else prediction.label
        score = fixed(max(prediction.scores.values()) if prediction.score is None else prediction.score, 3)
        text = shorten(" | ".join(map(str, values)), max(terminal.answers.width - width - 12, 20))
        terminal.answer(f"{shorten(label or '(none)', width):{width}}  {score}  {text}")

    return write_line


def _unique(added: Iterable[str], columns: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the added columns; one that the table has already gets a number."""
    names = set(columns)
    for name in added:
        unique, count = name, 2
        while unique in names:
            unique, count = f"{name}_{count}", count + 1
        names.add(unique)
        yield unique
