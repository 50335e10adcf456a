"""YAML 1.2, read with line and column and written back. Hostile text is refused unread.

PyYAML's parser gives the events, always the pure one in Python: the one in C crashes on deep nesting. What events mean
is decided here, because PyYAML composes YAML 1.1: there `2e-5` is text, `no` is false and the last duplicate key wins.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from ..errors import KeyPath, Location, Problem, RecipeError


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands. `entries` are those of a mapping, `items` those of a list.

    size: how many values it holds, itself included; height: how deep they nest. An unreadable value has a problem.
    """

    place: Location
    scalar: Scalar = None
    entries: dict[str, tuple[Location, Node]] | None = None
    items: list[Node] | None = None
    size: int = 1
    height: int = 1
    unreadable: bool = False

    def child(self, step: str | int) -> Node | None:
        if self.entries is not None and step in self.entries:
            return self.entries[str(step)][1]
        if self.items is not None and isinstance(step, int) and 0 <= step < len(self.items):
            return self.items[step]
        return None

    def plain(self) -> Any:
        """Return the value as dicts, lists, text, numbers, booleans and None; each time a fresh one."""
        if self.entries is not None:
            return {key: node.plain() for key, (_, node) in self.entries.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.scalar

    def unreadable_paths(self, path: KeyPath = ()) -> Iterator[KeyPath]:
        if self.unreadable:
            yield path
        for key, (_, node) in (self.entries or {}).items():
            yield from node.unreadable_paths((*path, key))
        for index, node in enumerate(self.items or ()):
            yield from node.unreadable_paths((*path, index))


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its root, and what is wrong with it beyond its syntax."""

    source: str
    root: Node
    problems: tuple[Problem, ...] = ()

    @property
    def values(self) -> Any:
        return self.root.plain()

    def is_scalar(self, path: KeyPath) -> bool:
        """Tell whether a single value stands at `path`."""
        node: Node | None = self.root
        for step in path:
            node = node.child(step) if node else None
        return node is not None and node.entries is None and node.items is None

    def locate(self, path: KeyPath, *, key: bool = False) -> Location | None:
        """Return where the value at `path` stands, or its key; None where there is no such value."""
        node, place = self.root, self.root.place
        for step in path:
            child = node.child(step)
            if child is None:
                return None
            place = node.entries[str(step)][0] if key and node.entries is not None else child.place
            node = child
        return place


def nowhere(source: str) -> Location:
    """Return a location that names a source and no line in it."""
    return Location(source, 0, 0)


Scalar: TypeAlias = "str | int | float | bool | None"

MAX_DIGITS = 100
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def resolve(text: str) -> Scalar:
    """Return what a plain scalar means in YAML 1.2's core schema; a ValueError says what is wrong with a number."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"must be a finite number, not {text}")
    if text[0] not in "+-.0123456789":
        return text
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text)
    return text


def _number(text: str) -> int | float:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"is a number of {len(text):,} characters; at most {MAX_DIGITS} are read")
    if text.startswith(("0o", "0x")):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _DECIMAL.fullmatch(text):
        return int(text)
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"must be a finite number, and {text} is too large for one")
    return value


_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode(data: bytes, source: str) -> str:
    """Return the text of UTF-8 bytes; a RecipeError names the first byte that is not, and the likely encoding."""
    if data.startswith(_UTF16):
        raise _refusal("is UTF-16 (a byte order mark at byte 0), not UTF-8; save it as UTF-8", source, 1, 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
        byte = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        message = f"{byte} is not UTF-8; it looks like {_guess(data)}; save it as UTF-8"
        raise _refusal(message, source, line, column) from None
    if "\0" in text:
        offset = data.index(b"\0")
        what = "it looks like UTF-16; save it as UTF-8" if _guess(data) == "UTF-16" else "a recipe is plain text"
        raise _refusal(f"a NUL stands at byte offset {offset}; {what}", source, 1, 1)
    return text.removeprefix("\ufeff")


def _guess(data: bytes) -> str:
    return "UTF-16" if data.count(b"\0") * 4 > len(data) else "Latin-1"


def _refusal(message: str, source: str, line: int, column: int) -> RecipeError:
    return RecipeError([Problem(message, (), Location(source, line, column))])


MAX_BYTES = 256 * 1024
MAX_DEPTH = 50
MAX_VALUES = 10_000
_SHOWN = 200

# As PyYAML counts lines, so that its marks fit.
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


def load(text: str | bytes, source: str) -> Document:
    """Read one document whose top is a mapping; a RecipeError where the text cannot be read to its end."""
    if len(text) > MAX_BYTES:
        raise RecipeError([Problem(f"is larger than a recipe may be, {MAX_BYTES // 1024} KiB", (), nowhere(source))])
    decoded = decode(text, source) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    reader = _Reader(decoded, source)
    root = reader.read()
    if root is None or root.entries is None:
        raise RecipeError([*reader.problems, _wrong_top(root, source)])
    return Document(source, root, tuple(reader.problems))


def load_value(text: str, source: str) -> Document:
    """Read one value of any kind, as in `--set KEY=VALUE`; a RecipeError where it cannot be read to its end."""
    reader = _Reader(text, source)
    root = reader.read() if text.strip() else Node(nowhere(source))
    if root is None:
        raise RecipeError([Problem("is only a comment; put text that begins with '#' in quotes", (), nowhere(source))])
    return Document(source, root, tuple(reader.problems))


def _unclosed(bracket: str, place: Location) -> Problem:
    closing = "]" if bracket == "[" else "}"
    return Problem(f"'{bracket}' is not closed: expected ',' or '{closing}'", (), place)


def _wrong_top(root: Node | None, source: str) -> Problem:
    if root is None or (root.items is None and root.scalar is None and not root.unreadable):
        return Problem("is empty; a recipe names at least dataset, encoder and trainer", (), nowhere(source))
    what = "a list" if root.items is not None else "a single value"
    return Problem(f"the top of a recipe is a mapping, such as 'trainer: logistic', not {what}", (), root.place)


@dataclass(slots=True)
class _Reader:
    """Reads events into nodes; `problems` are those that let it go on."""

    text: str
    source: str
    problems: list[Problem] = field(default_factory=list)
    lines: Sequence[str] = ()
    anchors: dict[str, Node | None] = field(default_factory=dict)
    values: int = 0
    open: list[Any] = field(default_factory=list)
    events: Iterator[Any] = field(default_factory=lambda: iter(()))

    def read(self) -> Node | None:
        self.lines = _LINE_BREAK.split(self.text)
        self.events = yaml.parse(self.text, Loader=yaml.SafeLoader)
        try:
            return self._document()
        except yaml.reader.ReaderError as error:
            raise self._stop(self._unprintable(error)) from None
        except yaml.MarkedYAMLError as error:
            raise self._stop(self._syntax(error)) from None
        finally:
            self.events = iter(())

    def _document(self) -> Node | None:
        next(self.events)
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        root = self._node(next(self.events), (), 1)
        next(self.events)
        second = next(self.events)
        if not isinstance(second, yaml.StreamEndEvent):
            place = self._place(second)
            raise self._stop(Problem("a second document begins here; a recipe is one document", (), place))
        return root

    def _node(self, event: Any, path: KeyPath, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._stop(Problem(f"nests more than {MAX_DEPTH} levels deep", path[:3], self._place(event)))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, depth)
        self._count(1, event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node = self._untagged(event, path, depth)
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            way = "a recipe holds plain values only; quote text that begins with '!'"
            node = self._refuse(event, path, f"the tag '{shown}' is not allowed; {way}")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _count(self, values: int, event: Any) -> None:
        """Refuse what would take long to read, or grow without end through its aliases."""
        self.values += values
        if self.values > MAX_VALUES:
            message = f"more than {MAX_VALUES:,} values, with what aliases repeat; a recipe is no place for data"
            raise self._stop(Problem(message, (), self._place(event)))

    def _untagged(self, event: Any, path: KeyPath, depth: int) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, path, depth)
        return self._scalar(event, path)

    def _alias(self, event: Any, path: KeyPath, depth: int) -> Node:
        name = event.anchor
        if name not in self.anchors:
            return self._refuse(event, path, f"no anchor '&{name}' stands before this; quote text that begins with '*'")
        node = self.anchors[name]
        if node is None:
            return self._refuse(event, path, f"'*{name}' contains itself")
        self._count(node.size, event)
        if depth + node.height - 1 > MAX_DEPTH:
            raise self._stop(Problem(f"nests more than {MAX_DEPTH} levels deep", path[:3], self._place(event)))
        return node

    def _sequence(self, start: Any, path: KeyPath, depth: int) -> Node:
        items: list[Node] = []
        self.open.append(start)
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), depth + 1))
        self.open.pop()
        return Node(self._place(start), items=items, size=_size(items), height=_height(items))

    def _mapping(self, start: Any, path: KeyPath, depth: int) -> Node:
        entries: dict[str, tuple[Location, Node]] = {}
        self.open.append(start)
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, place = self._key(event, path, depth), self._place(event)
            node = self._node(next(self.events), path if key is None else (*path, key), depth + 1)
            if key is None:
                continue
            if key in entries:
                first = entries[key][0].line
                self.problems.append(Problem(f"the key is given twice, first on line {first}", (*path, key), place))
            else:
                entries[key] = (place, node)
        self.open.pop()
        nodes = [node for _, node in entries.values()]
        return Node(self._place(start), entries=entries, size=_size(nodes), height=_height(nodes))

    def _key(self, event: Any, path: KeyPath, depth: int) -> str | None:
        """Return a key as it is written: keys are text, also where they look like a number."""
        if isinstance(event, yaml.ScalarEvent) and event.tag is None:
            return str(event.value)
        self._node(event, path, depth + 1)
        self._refuse(event, path, "a key must be plain text")
        return None

    def _scalar(self, event: Any, path: KeyPath) -> Node:
        text: str = event.value
        try:
            scalar = resolve(text) if event.implicit[0] else text
            text.encode("utf-8")
        except UnicodeEncodeError:
            return self._refuse(event, path, "contains half of a surrogate pair, which is no character")
        except ValueError as error:
            return self._refuse(event, path, str(error))
        return Node(self._place(event), scalar)

    def _refuse(self, event: Any, path: KeyPath, message: str) -> Node:
        place = self._place(event)
        self.problems.append(Problem(message, path, place))
        return Node(place, unreadable=True)

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

    def _stop(self, problem: Problem) -> RecipeError:
        return RecipeError([*self.problems, problem])

    def _unprintable(self, error: yaml.reader.ReaderError) -> Problem:
        before = _LINE_BREAK.split(self.text[: error.position])
        place = Location(self.source, len(before), len(before[-1]) + 1)
        return Problem(f"the control character U+{ord(self.text[error.position]):04X} is not allowed", (), place)

    def _syntax(self, error: yaml.MarkedYAMLError) -> Problem:
        """Say what a syntax error means to somebody who does not know YAML's grammar."""
        problem, context = error.problem or "", error.context or ""
        here = self._mark(error.problem_mark or error.context_mark)
        opening = self._mark(error.context_mark) if error.context_mark else here
        if "'\\t'" in problem:
            return Problem("a tab cannot indent; use spaces", (), here)
        if "flow sequence" in context or "flow mapping" in context:
            return _unclosed("[" if "sequence" in context else "{", opening)
        if "<stream end>" in problem and self.open and self.open[-1].flow_style:
            innermost = self.open[-1]
            bracket = "[" if isinstance(innermost, yaml.SequenceStartEvent) else "{"
            return _unclosed(bracket, self._place(innermost))
        if "expected the node content" in problem:
            return Problem("a value is missing here, or begins with a character that needs quotes", (), here)
        if "quoted scalar" in context and "end of stream" in problem:
            return Problem("the quote is never closed", (), opening)
        if "could not find expected ':'" in problem:
            return Problem("a ':' is missing after this key", (), opening)
        if "mapping values are not allowed" in problem:
            return Problem("a ':' is not allowed here; check indentation, or quote a text with ': ' in it", (), here)
        if "expected <block end>" in problem:
            return Problem("does not fit what stands before it; check indentation, quotes and commas", (), here)
        if "cannot start any token" in problem:
            return Problem("a value cannot begin with this character; put the text in quotes", (), here)
        return Problem(": ".join(part for part in (context, problem) if part), (), here)


def _size(nodes: list[Node]) -> int:
    return 1 + sum(node.size for node in nodes)


def _height(nodes: list[Node]) -> int:
    return 1 + max((node.height for node in nodes), default=0)


_BREAKS = frozenset("\r\n\x85\u2028\u2029\ufeff")
_TEXT = "tag:yaml.org,2002:str"


class _Writer(yaml.SafeDumper):
    """PyYAML quotes what YAML 1.1 would not read as text; `1e3` is text there, and a number in YAML 1.2."""

    def represent_scalar(self, tag: str, value: str, style: str | None = None) -> yaml.ScalarNode:
        if tag == _TEXT and style is None and not _is_text(value):
            style = '"'
        return super().represent_scalar(tag, value, style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(values: Mapping[str, Any]) -> str:
    """Return a recipe's values as YAML, in their order."""
    return yaml.dump(dict(values), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=1_000_000)


def _is_text(value: str) -> bool:
    """Tell whether a text may stand without quotes; unusual line breaks would be lost even in single ones."""
    if not _BREAKS.isdisjoint(value):
        return False
    try:
        return resolve(value) == value
    except ValueError:
        return False
