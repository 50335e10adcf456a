"""Options of the user's own data files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from textclf import Field, Options, Traits

Role = Literal["path", "train", "validation", "test", "unlabelled"]
ROLES: tuple[Role, ...] = ("path", "train", "validation", "test", "unlabelled")


def _one_or_more(value: Any) -> Any:
    """Read a single name as a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


_NAME_SCHEMA = {"type": "string", "minLength": 1}
Name = Annotated[str, Field(min_length=1, max_length=500)]
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [_NAME_SCHEMA, {"type": "array", "items": _NAME_SCHEMA}]}),
]
Place = Annotated[str, Field(min_length=1, max_length=4096)]


class FilesOptions(Options):
    path: Place | None = Field(
        None, description="one file with all labelled rows, a local path or an https URL; the recipe's split divides it"
    )
    train: Place | None = Field(None, description="the training rows, in place of `path`, for files split already")
    validation: Place | None = Field(None, description="the validation rows, beside `train`")
    test: Place | None = Field(None, description="the test rows, beside `train`")
    unlabelled: Place | None = Field(None, description="a file of texts without labels, beside `path` or `train`")
    text: Names = Field(
        (),
        description="the text's column, or several, whose texts are joined by line breaks, empty ones left out; "
        "guessed where one column is called text, review, sentence or the like",
    )
    pair: Name | None = Field(None, description="the column of the second text, for text pairs")
    label: Name | None = Field(
        None, description="the label's column; guessed where one is called label, class, category or the like"
    )
    labels: Names = Field(
        (),
        description="for multi-label tasks: the column that lists each row's labels, or several columns of 0 and 1, "
        "each named by its label",
    )
    labels_delimiter: str = Field(
        ",",
        min_length=1,
        max_length=10,
        description="what separates the labels of the `labels` column, unless it holds JSON lists",
    )
    label_names: dict[str, Name] = Field(
        {}, description="names for the labels in the file, such as {'0': negative, '1': positive}, in column order"
    )
    positive: Name | None = Field(
        None, description="of two labels the positive one, for f1, precision, recall and roc_auc; the last by default"
    )
    id: Name | None = Field(
        None, description="the column of the rows' ids, each once; without it the row's line (Parquet: row) in the file"
    )
    group: Name | None = Field(
        None, description="the column that says which rows belong together; a split keeps a group whole"
    )
    unlabelled_rows: Literal["refuse", "take"] = Field(
        "refuse",
        description="rows of `path` or `train` whose label is empty or null: an error, or taken as unlabelled texts; "
        "`take` also takes rows labelled -1",
    )
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = Field(
        None, description="the files' format, where their names do not show it"
    )
    encoding: str = Field("utf-8", max_length=40, description="how the files are encoded, such as cp1252")
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="what separates the columns; by default a comma in CSV, a tab in TSV",
    )
    quotes: bool = Field(True, description="false: quotes in CSV and TSV are ordinary characters")
    refresh: bool = Field(False, description="download URLs again for this run (--set dataset.refresh=true)")
    timeout: float = Field(
        20.0,
        gt=0,
        le=600,
        description="seconds of silence after which a request fails; `tries` times as long ends the download",
    )
    deadline: float = Field(1800.0, gt=0, le=86_400, description="seconds after which a download fails")
    tries: int = Field(3, ge=1, le=10, description="how often to try a URL, with growing pauses or the server's")
    size_limit: int = Field(2048, ge=1, le=1_048_576, description="the most MiB that a download may have")

    def places(self) -> dict[Role, str]:
        """Return the files that are set, by role."""
        places = {role: getattr(self, role) for role in ROLES}
        return {role: place for role, place in places.items() if place is not None}


def traits(options: FilesOptions) -> Traits:
    tasks = frozenset({"multi-label" if options.labels else "single-label"})
    return Traits(tasks=tasks, pairs=options.pair is not None)  # type: ignore[arg-type]


def is_url(place: str) -> bool:
    return "://" in place


def local(place: str) -> Path:
    return Path(place).expanduser()
