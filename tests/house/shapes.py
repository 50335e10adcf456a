"""The shape of a JSON document: which keys and types it has, and what a later document has lost of them.

A shape is itself JSON. A plain value is the name of its type: "str", "int", "float", "bool" or "null"; several types
are joined, as "null|str". A list is a list with the one shape of all its entries, or is empty. An object has its keys;
one that only some entries of a list have ends in "?". Where objects and plain values stand in the same place, "any of"
lists both.

The options of components are left out: they may get other names, and the old ones are frozen in `options.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# The keys of these objects depend on the machine, on what is installed, and on how long things took.
OF_ANY_KEYS = frozenset({"parts", "advice", "plugins", "versions"})
# What these objects hold is the affair of a component.
LEFT_OUT = frozenset({"options", "files"})
ANY_KEY, ANY_OF, SOMETIMES = "*", "any of", "?"


def shape(value: Any, key: str = "") -> Any:
    """Return the shape of a value that came from JSON. key: the one it stands under."""
    if isinstance(value, dict) and key in OF_ANY_KEYS:
        return {ANY_KEY: _merged([shape(inner) for inner in value.values()])} if value else {}
    if isinstance(value, dict) and key in LEFT_OUT:
        return {}
    if isinstance(value, dict):
        # A step of a recipe has its options beside `use`; one that tells of its plugin has them in an object.
        is_step = "use" in value and "plugin" not in value
        return {name: shape(inner, name) for name, inner in sorted(value.items()) if name == "use" or not is_step}
    if isinstance(value, list):
        return [_merged([shape(inner) for inner in value])] if value else []
    return "null" if value is None else type(value).__name__


def merged(values: list[Any]) -> Any:
    """Return the one shape of several values."""
    return _merged([shape(value) for value in values])


def _merged(shapes: list[Any]) -> Any:
    plain = sorted({name for each in shapes if isinstance(each, str) for name in each.split("|")})
    objects = [each for each in shapes if isinstance(each, dict)]
    lists = [inner for each in shapes if isinstance(each, list) for inner in each]
    found: list[Any] = ["|".join(plain)] if plain else []
    if objects:
        found.append(_merged_objects(objects))
    if any(isinstance(each, list) for each in shapes):
        found.append([_merged(lists)] if lists else [])
    return found[0] if len(found) == 1 else {ANY_OF: found}


def _merged_objects(objects: list[dict[str, Any]]) -> dict[str, Any]:
    names = sorted({name.removesuffix(SOMETIMES) for each in objects for name in each})
    found = {}
    for name in names:
        inner = [each[key] for each in objects for key in (name, name + SOMETIMES) if key in each]
        always = all(name in each for each in objects)
        found[name if always else name + SOMETIMES] = _merged(inner)
    return found


def lost(before: Any, now: Any) -> list[str]:
    """Return what a shape had before and has no more, or has with another type; what is new is no loss.

    now: None where there is no such document any more.
    """
    return ["the document is gone"] if now is None else list(_lost(before, now, ""))


def _lost(before: Any, now: Any, place: str) -> Iterator[str]:
    olds, news = _alternatives(before), _alternatives(now)
    old_types, new_types = _plain(olds), _plain(news)
    if old_types == {"null"} and len(olds) == 1:
        return  # nothing was told of its type
    # A whole number is as good a float.
    taken = old_types | ({"int"} if "float" in old_types else set())
    if new_types - taken:
        yield f"{place or 'the document'} was {_said(before)} and is {_said(now)}"
    for kind in (dict, list):
        old = next((each for each in olds if isinstance(each, kind)), None)
        new = next((each for each in news if isinstance(each, kind)), None)
        if old is None and new is not None:
            yield f"{place or 'the document'} was {_said(before)} and is {_said(now)}"
        if old is not None and new is None and not new_types <= old_types:
            yield f"{place or 'the document'} was {_said(before)} and is {_said(now)}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _lost_keys(old, new, place)
        if isinstance(old, list) and isinstance(new, list) and old and new:
            yield from _lost(old[0], new[0], f"{place}[]")


def _lost_keys(old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[str]:
    for key, inner in old.items():
        name = key.removesuffix(SOMETIMES)
        where = f"{place}.{name}" if place else name
        found = next((new[each] for each in (name, name + SOMETIMES) if each in new), None)
        if found is not None:
            yield from _lost(inner, found, where)
        if not key.endswith(SOMETIMES) and name not in new and name != ANY_KEY:
            yield f"{where} is gone" if found is None else f"{where} is not always there"


def _alternatives(found: Any) -> list[Any]:
    return found[ANY_OF] if isinstance(found, dict) and ANY_OF in found else [found]


def _plain(alternatives: list[Any]) -> set[str]:
    return {name for each in alternatives if isinstance(each, str) for name in each.split("|")}


def _said(found: Any) -> str:
    words = {dict: "an object", list: "a list"}
    return " or ".join(words.get(type(each), str(each)) for each in _alternatives(found))
