"""Owns the options that may stand anywhere before `--`, in front of the command or behind it: --debug and --plugin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_PLUGIN = "--plugin"


@dataclass(frozen=True, slots=True)
class Anywhere:
    """What of a call's arguments was such an option, and the words that are left.

    options: all words before `--`.
    """

    options: tuple[str, ...]
    words: tuple[str, ...]
    debug: bool
    plugins: tuple[str, ...]


def taken(arguments: Sequence[str]) -> Anywhere:
    """Take the options out of the arguments; a `--plugin` that names no file is left as the only word."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    options, words, plugins = tuple(arguments[:end]), [], []
    rest = iter(options)
    for word in rest:
        if word == _PLUGIN:
            file = next(rest, None)
            if file is None:
                return Anywhere(options, (_PLUGIN,), "--debug" in options, ())
            plugins.append(file)
        elif word.startswith(f"{_PLUGIN}="):
            plugins.append(word.removeprefix(f"{_PLUGIN}="))
        elif word != "--debug":
            words.append(word)
    return Anywhere(options, (*words, *arguments[end:]), "--debug" in options, tuple(plugins))
