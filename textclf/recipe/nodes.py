"""Values that know where they stand: the nodes of a YAML document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import KeyPath, Location, Problem
from .scalars import Scalar


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
