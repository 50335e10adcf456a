"""Owns the sentences for arguments that typer refuses."""

from __future__ import annotations

import re
from typing import Any

import typer

from ..errors import did_you_mean

# typer carries its own click since 0.26 and used the installed one before: only the family of its public
# BadParameter is the right class in both.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def usage_message(error: Any) -> str:
    """Return one sentence: the command, what is wrong, what was meant, and where help is."""
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx else "textclf"
    sentence = _unknown(error, ctx) or _house_style(error.format_message())
    return f"{sentence}; see '{command} --help'"


def _unknown(error: Any, ctx: Any) -> str:
    """Return the sentence for an option or command that does not exist, or nothing."""
    option = getattr(error, "option_name", None)
    if option and type(error).__name__ == "NoSuchOption":
        known = [name for param in ctx.command.get_params(ctx) for name in param.opts] if ctx else []
        return f"'{ctx.command_path if ctx else 'textclf'}' has no option '{option}'{did_you_mean(option, known)}"
    found = re.match(r"No such command '(.*?)'\.", error.message, re.DOTALL)
    if found and ctx:
        word = found.group(1)
        return f"'{ctx.command_path}' has no command '{word}'{did_you_mean(word, ctx.command.commands)}"
    return ""


def _house_style(message: str) -> str:
    sentence = " ".join(message.split()).rstrip(".")
    return sentence[:1].lower() + sentence[1:]
