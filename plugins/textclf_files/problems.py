"""Owns what can be found wrong with data files before anything runs: options that clash, files and columns missing."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from textclf import Problem, TextclfError, read_table, table_format

from .columns import find_columns
from .options import FilesOptions, Role, is_url, local


def problems(options: FilesOptions) -> Iterator[Problem]:
    """Look at the options and at the headers of local files; no row is read and no socket opened."""
    yield from _clashes(options)
    for role, place in options.places().items():
        if is_url(place):
            yield from _url_problems(options, role, place)
        else:
            yield from _file_problems(options, role, place)


def _clashes(options: FilesOptions) -> Iterator[Problem]:
    if options.path is None and options.train is None:
        yield Problem("no data is given; say `path: FILE`, or `train: FILE` where the splits are given")
    if options.path is not None and options.train is not None:
        yield Problem("give either path or train, not both", ("train",))
    for role in ("validation", "test"):
        if options.path is not None and getattr(options, role) is not None:
            yield Problem(f"beside a given {role} file the training rows are called train, not path", (role,))
    if options.label is not None and options.labels:
        yield Problem("give either label (one for each text) or labels (several), not both", ("labels",))
    if options.labels and options.positive is not None:
        yield Problem("a multi-label task has no positive label", ("positive",))


def _url_problems(options: FilesOptions, role: Role, place: str) -> Iterator[Problem]:
    parts = urlsplit(place)
    if parts.scheme != "https":
        yield Problem(f"'{place}' is no https URL; only https is fetched", (role,))
    elif not parts.hostname:
        yield Problem(f"'{place}' names no host", (role,))
    elif parts.username is not None:
        yield Problem("a URL with a user name or password would be written into every record; use one without", (role,))
    elif options.format is None and table_format(parts.path) is None:
        yield Problem(f"'{place}' does not tell the format; say `format: csv`, tsv, jsonl or parquet", (role,))


def _file_problems(options: FilesOptions, role: Role, place: str) -> Iterator[Problem]:
    path = local(place)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "is no regular file" if path.exists() else "no such file"
        yield Problem(f"'{place}': {what}", (role,))
        return
    try:
        with read_table(
            path, format=options.format, encoding=options.encoding, delimiter=options.delimiter, quotes=options.quotes
        ) as table:
            there = table.columns
    except TextclfError as error:
        yield Problem(str(error), (role,), exit_code=error.exit_code)
        return
    for problem in find_columns(options, there, labelled=role != "unlabelled")[1]:
        yield Problem(f"{place}: {problem.message}", problem.path)
