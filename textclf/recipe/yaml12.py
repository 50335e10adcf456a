"""YAML 1.2 read with the position of every value, and recipes written as YAML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from ..errors import KeyPath, Location, Problem, RecipeError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 50
MAX_VALUES = 10_000
MAX_DIGITS = 100
_SHOWN = 200

_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NUMBER = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# As PyYAML counts lines, so that its marks fit.
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_UNUSUAL_BREAK = re.compile("[\r\n\x85\u2028\u2029\ufeff]")

# What a syntax error means to a reader who does not know YAML's grammar, by a part of PyYAML's context and problem.
_AT_OPENING = (
    ("flow sequence", "", "'[' is not closed: expected ',' or ']'"),
    ("flow mapping", "", "'{' is not closed: expected ',' or '}'"),
    ("quoted scalar", "end of stream", "the quote is never closed"),
    ("", "could not find expected ':'", "a ':' is missing after this key"),
)
_OPEN = {yaml.SequenceStartEvent: "flow sequence", yaml.MappingStartEvent: "flow mapping"}
_AT_ERROR = (
    ("", "expected the node content", "a value is missing here, or begins with a character that needs quotes"),
    (
        "",
        "mapping values are not allowed",
        "a ':' is not allowed here; check indentation, or quote a text with ': ' in it",
    ),
    ("", "expected <block end>", "does not fit what stands before it; check indentation, quotes and commas"),
    ("", "cannot start any token", "a value cannot begin with this character; put the text in quotes"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: plain values, where they and their keys stand by path, and its problems beyond syntax.

    unreadable: paths of values that have a problem of their own and are read as None.
    """

    source: str
    values: Any
    places: Mapping[KeyPath, Location]
    keys: Mapping[KeyPath, Location]
    unreadable: frozenset[KeyPath] = frozenset()
    problems: tuple[Problem, ...] = ()

    def is_scalar(self, path: KeyPath) -> bool:
        """Tell whether a single value stands at `path`."""
        value = self.values
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return False
        return not isinstance(value, dict | list)

    def locate(self, path: KeyPath, *, key: bool = False) -> Location | None:
        """Return where the value at `path` stands, or its key; None where there is no such value."""
        return (self.keys.get(path) if key else None) or self.places.get(path)


def nowhere(source: str) -> Location:
    """Return a location that names a source and no line in it."""
    return Location(source, 0, 0)


def load(text: str | bytes, source: str) -> Document:
    """Read one document whose top is a mapping; a RecipeError where the text cannot be read to its end."""
    if len(text) > MAX_BYTES:
        raise RecipeError([Problem(f"is larger than a recipe may be, {MAX_BYTES // 1024} KiB", (), nowhere(source))])
    reader = _Reader(decode(text, source) if isinstance(text, bytes) else text.removeprefix("\ufeff"), source)
    document = reader.read()
    if document is not None and isinstance(document.values, dict):
        return document
    if document is None or (document.values is None and not document.unreadable):
        wrong = Problem("is empty; a recipe names at least dataset, encoder and trainer", (), nowhere(source))
    else:
        what = "a list" if isinstance(document.values, list) else "a single value"
        message = f"the top of a recipe is a mapping, such as 'trainer: logistic', not {what}"
        wrong = Problem(message, (), document.locate(()))
    raise RecipeError([*reader.problems, wrong])


def load_value(text: str, source: str) -> Document:
    """Read one value of any kind, as in `--set KEY=VALUE`; a RecipeError where it cannot be read to its end."""
    if not text.strip():
        return Document(source, None, {(): nowhere(source)}, {})
    document = _Reader(text, source).read()
    if document is None:
        raise RecipeError([Problem("is only a comment; put text that begins with '#' in quotes", (), nowhere(source))])
    return document


def decode(data: bytes, source: str) -> str:
    """Return the text of UTF-8 bytes; a RecipeError names the first byte that is not, and the likely encoding."""
    try:
        text = data.decode("utf-8")
        wrong = data.find(b"\0")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong < 0:
        return text.removeprefix("\ufeff")
    # English in UTF-16 is a NUL in every second byte, with its byte order mark or without.
    likely = "UTF-16" if data.count(b"\0") * 4 > len(data) else "Latin-1" if data[wrong] else ""
    guess = f"; it looks like {likely}" if likely else ""
    before = data[:wrong]
    place = Location(source, before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode("utf-8")) + 1)
    message = f"byte 0x{data[wrong]:02x} at offset {wrong} is not UTF-8 text{guess}; save it as UTF-8"
    raise RecipeError([Problem(message, (), place)])


def resolve(text: str) -> Any:
    """Return what a plain scalar means in YAML 1.2's core schema; a ValueError says what is wrong with a number."""
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"must be a finite number, not {text}")
    if not _NUMBER.fullmatch(text):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"is a number of {len(text):,} characters; at most {MAX_DIGITS} are read")
    if text[:2] in ("0o", "0x"):
        return int(text, 0)
    try:
        return int(text)
    except ValueError:
        value = float(text)
    if math.isinf(value):
        raise ValueError(f"must be a finite number, not {text}")
    return value


class _Reader:
    """Reads PyYAML's events into plain values; `problems` are those that do not end the reading.

    PyYAML would compose YAML 1.1, where `2e-5` is text, `no` is false and the last of two equal keys wins silently. Its
    parser in Python gives the events, because the one in C crashes on deep nesting. Every value is counted before it is
    read, those that aliases repeat too, so that a small text cannot grow without end.
    """

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self.lines = _LINE_BREAK.split(text)
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.problems: list[Problem] = []
        self.places: dict[KeyPath, Location] = {}
        self.keys: dict[KeyPath, Location] = {}
        self.unreadable: set[KeyPath] = set()
        self.anchors: dict[str, tuple[KeyPath, Any] | None] = {}  # None while the anchored value is being read
        self.open: list[Any] = []  # the mappings and lists around the event that is read
        self.count = 0

    def read(self) -> Document | None:
        """Return the document, or None where the text holds no value at all."""
        try:
            next(self.events)
            if isinstance(next(self.events), yaml.StreamEndEvent):
                return None
            values = self._value(next(self.events), ())
            next(self.events)
            if not isinstance(second := next(self.events), yaml.StreamEndEvent):
                self._stop("a second document begins here; a recipe is one document", (), second)
        except yaml.reader.ReaderError as error:
            before = _LINE_BREAK.split(self.text[: error.position])
            place = Location(self.source, len(before), len(before[-1]) + 1)
            character = f"U+{ord(self.text[error.position]):04X}"
            unprintable = Problem(f"the control character {character} is not allowed", (), place)
            raise RecipeError([*self.problems, unprintable]) from None
        except yaml.MarkedYAMLError as error:
            raise RecipeError([*self.problems, self._syntax(error)]) from None
        return Document(self.source, values, self.places, self.keys, frozenset(self.unreadable), tuple(self.problems))

    def _value(self, event: Any, path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self._enter(event, path)
        self.places[path] = self._place(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        else:
            self.open.append(event)
            value = self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._list(path)
            self.open.pop()
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            hint = "a recipe holds plain values only; quote text that begins with '!'"
            value = self._refuse(f"the tag '{tag}' is not allowed; {hint}", path, event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (path, value)
        return value

    def _enter(self, event: Any, path: KeyPath) -> None:
        """Count a value at `path`, and stop where the text is too deep or too large."""
        self.count += 1
        if len(path) >= MAX_DEPTH:
            self._stop(f"nests more than {MAX_DEPTH} levels deep", path[:3], event)
        if self.count > MAX_VALUES:
            message = f"more than {MAX_VALUES:,} values, with what aliases repeat; a recipe is no place for data"
            self._stop(message, (), event)

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
                self._value(event, (*path, "?"))
                self._refuse("a key must be plain text", path, event)
                self._value(next(self.events), (*path, "?"))
                continue
            # A key is text as it is written, also where it looks like a number: the label 01 stays 01.
            key, place = str(event.value), self._place(event)
            if key in values:
                message = f"the key is given twice, first on line {self.keys[*path, key].line}"
                self.problems.append(Problem(message, (*path, key), place))
            self.keys[*path, key] = place
            values[key] = self._value(next(self.events), (*path, key))
        return values

    def _list(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*path, len(values))))
        return values

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        text: str = event.value
        try:
            text.encode("utf-8")
            return resolve(text) if event.implicit[0] else text
        except UnicodeEncodeError:
            return self._refuse("contains half of a surrogate pair, which is no character", path, event)
        except ValueError as error:
            return self._refuse(str(error), path, event)

    def _alias(self, event: Any, path: KeyPath) -> Any:
        name = event.anchor
        anchored = self.anchors.get(name)
        if anchored is not None:
            return self._copy(*anchored, event, path)
        self.places[path] = self._place(event)
        if name in self.anchors:
            return self._refuse(f"'*{name}' contains itself", path, event)
        message = f"no anchor '&{name}' stands before this; quote text that begins with '*'"
        return self._refuse(message, path, event)

    def _copy(self, origin: KeyPath, value: Any, alias: Any, path: KeyPath) -> Any:
        """Return an anchored value once more; its parts stand where the originals do."""
        self._enter(alias, path)
        self.places[path] = self.places[origin]
        if origin in self.unreadable:
            self.unreadable.add(path)
        if isinstance(value, dict):
            self.keys.update({(*path, key): self.keys[*origin, key] for key in value})
            return {key: self._copy((*origin, key), part, alias, (*path, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [self._copy((*origin, i), part, alias, (*path, i)) for i, part in enumerate(value)]
        return value

    def _refuse(self, message: str, path: KeyPath, event: Any) -> Any:
        """Note a problem with a value, and return what it is read as."""
        self.problems.append(Problem(message, path, self._place(event)))
        self.unreadable.add(path)
        return None

    def _stop(self, message: str, path: KeyPath, event: Any) -> NoReturn:
        raise RecipeError([*self.problems, Problem(message, path, self._place(event))])

    def _place(self, event: Any) -> Location:
        return self._mark(event.start_mark, event.end_mark)

    def _mark(self, start: Any, end: Any = None) -> Location:
        text = self.lines[start.line] if start.line < len(self.lines) else ""
        length = 1
        if end is not None:
            length = end.column - start.column if end.line == start.line else len(text.rstrip()) - start.column
        if len(text) > _SHOWN:
            text = text[:_SHOWN] if start.column < _SHOWN else ""
        return Location(self.source, start.line + 1, start.column + 1, text, max(1, length))

    def _syntax(self, error: yaml.MarkedYAMLError) -> Problem:
        problem, context = error.problem or "", error.context or ""
        here = self._mark(error.problem_mark or error.context_mark)
        opening = self._mark(error.context_mark) if error.context_mark else here
        if "'\\t'" in problem:
            return Problem("a tab cannot indent; use spaces", (), here)
        if "<stream end>" in problem and self.open and self.open[-1].flow_style:
            # PyYAML misses a value at the end of the text and does not know the bracket that is open.
            context, opening = _OPEN[type(self.open[-1])], self._place(self.open[-1])
        for rows, place in ((_AT_OPENING, opening), (_AT_ERROR, here)):
            for in_context, in_problem, message in rows:
                if in_context in context and in_problem in problem:
                    return Problem(message, (), place)
        return Problem(": ".join(part for part in (context, problem) if part), (), here)


class _Writer(yaml.SafeDumper):
    """Quotes texts that YAML 1.1 or YAML 1.2 would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Unusual line breaks would be lost even in single quotes.
        return self.represent_scalar("tag:yaml.org,2002:str", text, '"' if _UNUSUAL_BREAK.search(text) else None)


_Writer.add_representer(str, _Writer.represent_text)
_Writer.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("+-.0123456789"))


def write(values: Mapping[str, Any]) -> str:
    """Return a recipe's values as YAML, in their order."""
    return yaml.dump(dict(values), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=1_000_000)
