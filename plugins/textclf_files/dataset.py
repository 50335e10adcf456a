"""The dataset `files`: from files to a Dataset, and its check before a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from textclf import (
    Context,
    DataError,
    Dataset,
    DownloadLimits,
    Labels,
    Problem,
    Row,
    Split,
    Table,
    TextclfError,
    Texts,
    download,
    drop_unreadable,
    read_table,
    table_format,
)

from .columns import Columns, find_columns, has_other_delimiter, is_delimited, label_reader, similar_labels
from .options import FilesOptions, Role, is_url, local


def problems(options: FilesOptions) -> Iterator[Problem]:
    """Check the options and the headers of local files; read no row and open no socket."""
    yield from _conflicts(options)
    for role, place in options.places().items():
        if is_url(place):
            yield from _url_problems(options, role, place)
        else:
            yield from _file_problems(options, role, place)


def _conflicts(options: FilesOptions) -> Iterator[Problem]:
    if options.path is None and options.train is None:
        yield Problem("there is no data; set `path: FILE`, or `train: FILE` for files that are split already")
    if options.path is not None and options.train is not None:
        yield Problem("set either path or train, not both", ("train",))
    for role in ("validation", "test"):
        if options.path is not None and getattr(options, role) is not None:
            yield Problem(f"with a {role} file the training rows are set by train, not path", (role,))
    if options.label is not None and options.labels:
        yield Problem("set either label (one for each text) or labels (several), not both", ("labels",))
    if options.labels and options.positive is not None:
        yield Problem("a multi-label task has no positive label", ("positive",))


def _url_problems(options: FilesOptions, role: Role, place: str) -> Iterator[Problem]:
    parts = urlsplit(place)
    if parts.scheme != "https":
        yield Problem(f"'{place}' is no https URL; only https is downloaded", (role,))
    elif not parts.hostname:
        yield Problem(f"'{place}' names no host", (role,))
    elif parts.username is not None:
        yield Problem("a URL with a user name or password would be written into run folders; use one without", (role,))
    elif options.format is None and table_format(parts.path) is None:
        yield Problem(f"'{place}' does not show the format; set `format: csv`, tsv, jsonl or parquet", (role,))


def _file_problems(options: FilesOptions, role: Role, place: str) -> Iterator[Problem]:
    path = local(place)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "is no regular file" if path.exists() else "no such file"
        yield Problem(f"'{place}': {what}", (role,))
        return
    try:
        with _open(path, options) as table:
            there = table.columns
    except TextclfError as error:
        yield Problem(str(error), (role,), exit_code=error.exit_code)
        return
    for problem in find_columns(options, there, labelled=role != "unlabelled")[1]:
        yield Problem(f"{place}: {problem.message}", problem.path)


def _open(path: Path, options: FilesOptions, name: str = "") -> Table:
    return read_table(
        path, name=name, format=options.format, encoding=options.encoding, delimiter=options.delimiter,
        quotes=options.quotes,
    )  # fmt: skip


@dataclass(slots=True)
class _Rows:
    """The rows of one file, by column.

    unlabelled: rows without a label. delimited: how many rows have labels that a delimiter separates.
    """

    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    members: list[tuple[str, ...]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    unlabelled: list[tuple[str, str]] = field(default_factory=list)
    delimited: int = 0

    def texts(self, pairs: bool) -> Texts:
        return Texts(self.first, self.second if pairs else None)


@dataclass(frozen=True, slots=True)
class FilesDataset:
    options: FilesOptions

    def load(self, context: Context) -> Dataset:
        """Read all files; a DataError names the file, the row, the cause and what to do."""
        if self.options.path is None and self.options.train is None:
            raise DataError("there is no data; set `path: FILE`, or `train: FILE` for files that are split already")
        files = {role: self._file(role, place, context) for role, place in self.options.places().items()}
        labels = self._labels(files, context)
        train = files["path"] if "path" in files else files["train"]
        return Dataset(
            labels,
            self._split(train, labels),
            validation=self._split(files["validation"], labels) if "validation" in files else None,
            test=self._split(files["test"], labels) if "test" in files else None,
            unlabelled=self._unlabelled(train, files.get("unlabelled")),
            source=", ".join(self.options.places().values()),
        )

    def _file(self, role: Role, place: str, context: Context) -> _Rows:
        path, hint = local(place), ""
        reading: AbstractContextManager[None] = nullcontext()
        if is_url(place):
            path = self._download(place, context)
            reading = drop_unreadable(path, context)
            hint = f"; the copy in the cache is {path}, and `refresh: true` downloads the file again"
        rows = None
        with reading, _open(path, self.options, place) as table:
            columns, problems = find_columns(self.options, table.columns, labelled=role != "unlabelled")
            if not problems:
                rows = self._rows(table, columns, role)
        if rows is None:  # the options may be wrong and not the file, which stays in the cache
            raise DataError("\n".join(f"{place}: {problem.message}" for problem in problems) + hint)
        if rows.unlabelled:
            context.warn(f"{place}: {_count(len(rows.unlabelled), 'row')} without a label taken as unlabelled")
        return rows

    def _download(self, url: str, context: Context) -> Path:
        options = self.options
        limits = DownloadLimits(options.timeout, options.deadline, options.tries, options.size_limit * 2**20)
        return download(url, context, limits, refresh=options.refresh)

    def _rows(self, table: Table, columns: Columns, role: Role) -> _Rows:
        return _read_texts(table, columns) if role == "unlabelled" else self._read_labelled(table, columns, role)

    def _read_labelled(self, table: Table, columns: Columns, role: Role) -> _Rows:
        rows = _Rows()
        labels_of = label_reader(self.options, columns)
        take = self.options.unlabelled_rows == "take" and role in ("path", "train")
        seen: dict[str, int] = {}
        for row in table.some_rows():
            first, second = _texts_of(row, columns)
            members = labels_of(row)
            if members is None:
                _check_may_be_unlabelled(row, columns, role, take)
                rows.unlabelled.append((first, second))
                continue
            rows.first.append(first)
            if columns.pair is not None:
                rows.second.append(second)
            rows.members.append(members)
            rows.delimited += is_delimited(row, columns)
            rows.ids.append(_id_of(row, columns, seen))
            if columns.group is not None:
                rows.groups.append(_group_of(row, columns.group))
        if not rows.first:
            raise DataError(f"{table.name}: none of its {_count(len(rows.unlabelled), 'row')} has a label")
        return rows

    def _labels(self, files: dict[Role, _Rows], context: Context) -> Labels:
        seen = {label for rows in files.values() for members in rows.members for label in members}
        for group in similar_labels(seen):
            listed = " and ".join(f"'{label}'" for label in group)
            context.warn(f"the labels {listed} look the same but are different labels; `label_names` can merge them")
        delimited = [rows for rows in files.values() if rows.delimited == len(rows.members)]
        if has_other_delimiter([members for rows in delimited for members in rows.members]):
            context.warn(
                f"no text has more than one label; is the delimiter of '{self.options.labels[0]}' right? "
                f"labels_delimiter is '{self.options.labels_delimiter}'"
            )
        multi = bool(self.options.labels)
        task = "multi-label" if multi else "single-label"
        # Flag columns name their labels even if no row has them; label_names gives the order.
        fixed = list(self.options.label_names.values()) or list(self.options.labels)
        if len(self.options.labels) > 1 or self.options.label_names:
            names = tuple(name for name in dict.fromkeys(fixed) if name in seen or len(self.options.labels) > 1)
            return Labels(names, task, self.options.positive)  # type: ignore[arg-type]
        return Labels.of(seen, task, self.options.positive)  # type: ignore[arg-type]

    def _split(self, rows: _Rows, labels: Labels) -> Split:
        if labels.task == "multi-label":
            encoded = labels.encode_sets(rows.members)
        else:
            encoded = labels.encode([members[0] for members in rows.members])  # type: ignore[assignment]
        groups = rows.groups if self.options.group is not None else None
        return Split(rows.texts(self.options.pair is not None), encoded, rows.ids, groups)

    def _unlabelled(self, train: _Rows, file: _Rows | None) -> Texts | None:
        first = [first for first, _ in train.unlabelled] + (file.first if file else [])
        second = [second for _, second in train.unlabelled] + (file.second if file else [])
        if not first:
            return None
        return Texts(first, second if self.options.pair is not None else None)


def _read_texts(table: Table, columns: Columns) -> _Rows:
    rows = _Rows()
    for row in table.some_rows():
        first, second = _texts_of(row, columns)
        rows.first.append(first)
        if columns.pair is not None:
            rows.second.append(second)
    return rows


def _texts_of(row: Row, columns: Columns) -> tuple[str, str]:
    if len(columns.text) == 1:
        first = row.text(columns.text[0])
    else:
        first = "\n".join(text for column in columns.text if (text := row.text(column)))
    return first, row.text(columns.pair) if columns.pair is not None else ""


def _id_of(row: Row, columns: Columns, seen: dict[str, int]) -> str:
    if columns.id is None:
        return str(row.number)
    value = row.text(columns.id)
    if value in seen:
        raise DataError(f"{row.place}: the id '{value[:60]}' is already that of row {seen[value]}; make ids unique")
    seen[value] = row.number
    return value


def _group_of(row: Row, column: str) -> str:
    value = row.text(column)
    if not value.strip():
        raise DataError(f"{row.place}: '{column}' is empty; every row needs a group, if only one of its own")
    return value


def _check_may_be_unlabelled(row: Row, columns: Columns, role: Role, take: bool) -> None:
    column = columns.label or ", ".join(columns.labels)
    if role in ("validation", "test"):
        raise DataError(f"{row.place}: has no label in '{column}'; every row of the {role} file needs one")
    if not take:
        raise DataError(
            f"{row.place}: has no label in '{column}'; add one, remove the row, or set "
            "`unlabelled_rows: take` to use such rows as unlabelled texts"
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
