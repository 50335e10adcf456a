"""Columns of a file, and the labels of a row."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from textclf import COLUMN_NAMES, DataError, Problem, Row, did_you_mean

from .options import FilesOptions

TEXTS = COLUMN_NAMES["text"]
LABELS = tuple(name for name in COLUMN_NAMES["label"] if name != "labels")  # which may hold several for each text


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns to read. With several `labels` each is one label's column of 0 and 1."""

    text: tuple[str, ...]
    label: str | None = None
    labels: tuple[str, ...] = ()
    pair: str | None = None
    id: str | None = None
    group: str | None = None


def find_columns(options: FilesOptions, there: Sequence[str], labelled: bool) -> tuple[Columns, list[Problem]]:
    """Return the columns of a file and the problems with them; a file of unlabelled texts needs only its texts."""
    problems = list(_missing(options, there, labelled))
    named = {*options.text, *options.labels, options.label, options.pair, options.id, options.group} - {None}
    free = [column for column in there if column not in named]
    text, label = options.text, options.label
    wants_label = labelled and label is None and not options.labels
    if not text:
        text = tuple(_guess(TEXTS, free))
    if wants_label:
        label = next(iter(_guess(LABELS, free)), None)
    if len(free) == 2 and wants_label and not options.text and bool(text) != bool(label):
        # Of two columns, the one that is not the text is the label, and vice versa.
        other = next(column for column in free if column not in (*text, label))
        text, label = (text, other) if text else ((other,), label)
    if not text and labelled is False and len(free) == 1:
        text = (free[0],)
    if not text:
        problems.append(Problem(_unknown("text", TEXTS, there), ("text",)))
    if wants_label and label is None:
        problems.append(Problem(_unknown("label", LABELS, there), ("label",)))
    if not labelled:
        return Columns(text, pair=options.pair), problems
    return Columns(text, label, options.labels, options.pair, options.id, options.group), problems


def _missing(options: FilesOptions, there: Sequence[str], labelled: bool) -> Iterator[Problem]:
    singles = {"label": options.label, "pair": options.pair, "id": options.id, "group": options.group}
    wanted: list[tuple[tuple[str | int, ...], str]] = [(("text", i), c) for i, c in enumerate(options.text)]
    wanted += [(("labels", i), c) for i, c in enumerate(options.labels) if labelled]
    wanted += [((key,), c) for key, c in singles.items() if c is not None and (labelled or key == "pair")]
    for path, column in wanted:
        if column not in there:
            yield Problem(f"there is no column '{column}'{did_you_mean(column, there)} {known(there)}", path)


def known(there: Sequence[str]) -> str:
    """List the columns of a file, and suggest a delimiter where a single column contains one."""
    shown = ", ".join(f"'{column[:60]}'" for column in there[:20])
    inside = next((d for d in (";", "\t", "|", ",") if d in there[0]), None) if len(there) == 1 else None
    spelling = {"\t": r'"\t"'}.get(inside or "", f'"{inside}"')
    hint = f"; is `delimiter: {spelling}` meant?" if inside else ""
    return f"(columns: {shown}{' ...' if len(there) > 20 else ''}{hint})"


def _guess(names: Sequence[str], columns: Sequence[str]) -> list[str]:
    found = [column for column in columns if column.strip().casefold() in names]
    return found if len(found) == 1 else []


def _unknown(key: str, names: Sequence[str], there: Sequence[str]) -> str:
    several = [column for column in there if column.strip().casefold() in names]
    reason = f"may be {' or '.join(repr(c) for c in several)}" if len(several) > 1 else "has none of the usual names"
    return f"the column of the {key} {reason}; set `{key}: COLUMN` {known(there)}"


# The labels of one row: one for single-label tasks, any number for multi-label ones, None where it has no label.
Members = tuple[str, ...] | None
_DELIMITERS, _MANY = (" ", ",", ";", "|"), 10
_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def label_reader(options: FilesOptions, columns: Columns) -> Callable[[Row], Members]:
    """Return the function that reads a row's labels."""
    take = options.unlabelled_rows == "take"
    if columns.label is not None:
        label = columns.label
        return lambda row: _named(row, _single(row, label, take), options.label_names)
    if len(columns.labels) == 1:
        column, delimiter = columns.labels[0], options.labels_delimiter
        return lambda row: _named(row, _set(row, column, delimiter, take), options.label_names)
    return lambda row: _named(row, _flagged(row, columns.labels, take), options.label_names)


def is_delimited(row: Row, columns: Columns) -> bool:
    """Tell whether a row's labels are separated by a delimiter: not one label, flags, or a list."""
    value = row.values.get(columns.labels[0]) if columns.label is None and len(columns.labels) == 1 else None
    return isinstance(value, str) and not value.lstrip().startswith("[")


def has_other_delimiter(rows: Sequence[tuple[str, ...]]) -> bool:
    """Tell whether many rows have one label at most, with what looks like another delimiter in some of them."""
    if len(rows) < _MANY or any(len(members) > 1 for members in rows):
        return False
    return any(sign in label for members in rows for label in members for sign in _DELIMITERS)


def _single(row: Row, column: str, take: bool) -> Members:
    if row.values.get(column, "") is None:
        return None
    label = row.text(column)
    return None if not label.strip() or (take and label == "-1") else (label,)


def _set(row: Row, column: str, delimiter: str, take: bool) -> Members:
    value = row.values.get(column, "")
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return _listed(row, column, value)
    text = row.text(column)
    if take and text == "-1":
        return None
    if text.lstrip().startswith("["):
        try:
            return _listed(row, column, json.loads(text))
        except ValueError:
            raise DataError(f"{row.place}: '{column}' starts like a JSON list but is not one: '{text[:40]}'") from None
    return tuple(dict.fromkeys(part.strip() for part in text.split(delimiter) if part.strip()))


def _listed(row: Row, column: str, values: Iterable[object]) -> Members:
    """Return the labels of a list, each read as a single value is."""
    labels = tuple(dict.fromkeys(Row(row.number, {column: v}, row.source).text(column) for v in values))
    if "" in labels:
        raise DataError(f"{row.place}: '{column}' has an empty label in its list; name it or remove it")
    return labels


def _flagged(row: Row, columns: tuple[str, ...], take: bool) -> Members:
    cells = {column: row.text(column) for column in columns}
    if take and all(cell.strip() in ("", "-1") for cell in cells.values()):
        return None
    members = []
    for column, cell in cells.items():
        flag = _FLAGS.get(cell.strip().lower())
        if flag is None:
            raise DataError(f"{row.place}: '{column}' is '{cell[:40]}'; write 1 (has the label) or 0 (has not)")
        if flag:
            members.append(column)
    return tuple(members)


def _named(row: Row, members: Members, names: Mapping[str, str]) -> Members:
    if not names or members is None:
        return members
    for member in members:
        if member not in names:
            known = ", ".join(f"'{name}'" for name in list(names)[:12])
            raise DataError(f"{row.place}: the label '{member[:60]}' is not among label_names ({known}); add it there")
    return tuple(dict.fromkeys(names[member] for member in members))


def similar_labels(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of labels that differ only in case, blanks or the writing of a number, in order."""
    groups: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        groups.setdefault(_normal(label), []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _normal(label: str) -> str:
    normal = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
    try:
        number = float(normal)
    except ValueError:
        return normal
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
