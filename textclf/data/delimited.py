"""Owns the records of CSV and TSV: fields, quotes, and rows that do not fit their header."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import DataError

# From behind an opening quote up to and with the closing one; possessive, so that it never goes back.
_TO_CLOSING = re.compile(r'[^"]*+(?:""[^"]*+)*+"')

Record = tuple[int, list[str]]


class Records:
    """Iterates over (line, fields): the line is the one on which the record begins, from 1; blank lines are left out.

    The rules are those of the `csv` module with `strict=True`, which is not used because its limit on the length of a
    field belongs to the whole process, and because it does not say where an unclosed quote was opened.
    """

    def __init__(self, lines: Iterator[str], name: str, *, delimiter: str, quotes: bool, limit: int) -> None:
        self.lines, self.name, self.delimiter, self.quotes, self.limit = lines, name, delimiter, quotes, limit
        self.line = 0

    def __iter__(self) -> Iterator[Record]:
        for line in self.lines:
            self.line += 1
            if self.quotes and '"' in line:
                begin = self.line
                yield begin, self._fields(line, begin)
            elif body := line.rstrip("\r\n"):
                yield self.line, body.split(self.delimiter)

    def _fields(self, line: str, begin: int) -> list[str]:
        fields: list[str] = []
        at = 0
        while True:
            if line.startswith('"', at):
                field, line, at = self._quoted(line, at + 1, begin)
                fields.append(field)
                if line.startswith(self.delimiter, at):
                    at += 1
                    continue
                if rest := line[at:].rstrip("\r\n"):
                    raise DataError(
                        f"{self.name}:{self.line}: '{rest[:20]}' follows a closing quote; "
                        'a quote inside a quoted field is written twice ("")'
                    )
                return fields
            end = line.find(self.delimiter, at)
            if end < 0:
                fields.append(line[at:].rstrip("\r\n"))
                return fields
            fields.append(line[at:end])
            at = end + 1

    def _quoted(self, line: str, at: int, begin: int) -> tuple[str, str, int]:
        """Read a quoted field that begins at `at`, over as many lines as it takes."""
        parts: list[str] = []
        size = 0
        while (closing := _TO_CLOSING.match(line, at)) is None:
            parts.append(line[at:])
            size += len(line)
            if size > self.limit:
                raise DataError(f"{self.name}:{begin}: the row that begins here is too long; is a quote never closed?")
            following = next(self.lines, None)
            if following is None:
                raise DataError(
                    f"{self.name}:{begin}: a quote is opened in the row that begins here and never closed; "
                    "close it, or set `quotes: false` where quotes are ordinary characters"
                )
            self.line += 1
            line, at = following, 0
        parts.append(line[at : closing.end() - 1])
        return "".join(parts).replace('""', '"'), line, closing.end()


def rows(records: Iterator[Record], columns: int, name: str, delimiter: str) -> Iterator[Record]:
    """Pass the records that have as many fields as there are columns; a DataError for the first that has not."""
    for line, fields in records:
        if len(fields) != columns:
            many = len(fields) > columns
            way = f"put texts that contain {_say(delimiter)} in quotes" if many else "a field or a line end is missing"
            raise DataError(f"{name}:{line}: {_count(len(fields))} where the header has {columns}; {way}")
        yield line, fields


def _count(fields: int) -> str:
    return "1 field" if fields == 1 else f"{fields} fields"


def _say(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else f"'{delimiter}'"
