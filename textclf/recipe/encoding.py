"""Owns the step from a recipe file's bytes to text: UTF-8 with or without BOM, anything else refused by its offset."""

from __future__ import annotations

import codecs

from ..errors import Location, Problem, RecipeError

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
