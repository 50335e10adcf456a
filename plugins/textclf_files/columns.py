"""Owns which column of a file is what: named by the recipe, or guessed where there is no doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textclf import Problem, did_you_mean

from .options import FilesOptions

TEXTS = ("text", "texts", "review", "reviews", "sentence", "content", "comment", "body", "document", "message", "tweet")
LABELS = ("label", "class", "category", "target", "sentiment", "topic", "polarity")


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
    """Return the columns of a file and what is wrong with them; a file of unlabelled texts needs only its texts."""
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
        # Of two columns the one that is not the text is the label, and the other way round.
        other = next(column for column in free if column not in (*text, label))
        text, label = (text, other) if text else ((other,), label)
    if not text and labelled is False and len(free) == 1:
        text = (free[0],)
    if not text:
        problems.append(Problem(_say("text", TEXTS, there), ("text",)))
    if wants_label and label is None:
        problems.append(Problem(_say("label", LABELS, there), ("label",)))
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
    """Say which columns there are, and, where a single one holds another delimiter, which one may be meant."""
    shown = ", ".join(f"'{column[:60]}'" for column in there[:20])
    inside = next((d for d in (";", "\t", "|", ",") if d in there[0]), None) if len(there) == 1 else None
    spelt = {"\t": r'"\t"'}.get(inside or "", f'"{inside}"')
    hint = f"; is `delimiter: {spelt}` meant?" if inside else ""
    return f"(columns: {shown}{' ...' if len(there) > 20 else ''}{hint})"


def _guess(names: Sequence[str], columns: Sequence[str]) -> list[str]:
    found = [column for column in columns if column.strip().casefold() in names]
    return found if len(found) == 1 else []


def _say(key: str, names: Sequence[str], there: Sequence[str]) -> str:
    several = [column for column in there if column.strip().casefold() in names]
    doubt = f"may be {' or '.join(repr(c) for c in several)}" if len(several) > 1 else "has no name that tells it"
    return f"the column of the {key} {doubt}; say `{key}: COLUMN` {known(there)}"
