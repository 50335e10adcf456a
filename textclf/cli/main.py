"""The entry point of the command: arguments to exit code. Only this file prints errors."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from ..errors import RecipeError, ResourceError, Stopped, TextclfError, did_you_mean
from .app import make
from .session import Session

# typer carries its own click since 0.26 and used the installed one before: only the family of its public
# BadParameter is the right class in both.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

# What the machine or the user's folders refuse; any other OSError is a bug of ours.
_REFUSED = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM,
    errno.EIO, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip

PATIENCE = 5.0  # seconds that a thread has to end by itself, such as one that sends the last of something


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, print its errors, and return the exit code.

    Without arguments it is the command that this process was started for, and the process ends with it.
    """
    _repair_streams()
    session = Session(sys.argv[1:] if arguments is None else arguments)
    with session.interrupts.installed():
        try:
            code = _invoke(session)
            sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001 - the one place where every error ends
            code = _fail(error, session)
    if arguments is None:
        _exit_despite_threads(code, session.terminal.note)
    return code


def _repair_streams() -> None:
    """Let streams that are closed swallow, and streams that know only ASCII escape, what is written to them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _invoke(session: Session) -> int:
    if session.plugins:
        from ..plugin.single_file import read

        # A --plugin that is no file is refused, whatever the command does with plugins.
        for file in session.plugins:
            read(file)
    outcome = get_command(make()).main(
        args=list(session.words), prog_name="textclf", standalone_mode=False, obj=session
    )
    # A number is the code of a typer.Exit; commands themselves return nothing.
    return outcome if isinstance(outcome, int) else 0


def _fail(error: BaseException, session: Session) -> int:
    """Print an error, on stderr or in the one document, and return the exit code."""
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        # A reader went away: typer turns that into SystemExit(1). What is still buffered goes nowhere, so that the
        # interpreter can end quietly.
        with suppress(OSError, ValueError, io.UnsupportedOperation):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, UsageError) and type(error).__name__ == "NoArgsIsHelpError":
        return 2
    readable = _readable(error, session)
    if session.debug and not isinstance(error, (UsageError, Stopped)):
        traceback.print_exception(error)
    with suppress(OSError, ValueError):
        _print(readable, session)
    return readable.exit_code


def _readable(error: BaseException, session: Session) -> TextclfError:
    """Return the error as one that users can read."""
    if isinstance(error, TextclfError):
        return error
    if isinstance(error, UsageError):
        return RecipeError(usage_message(error))
    if isinstance(error, KeyboardInterrupt):
        return session.interrupts.stopped()
    if isinstance(error, MemoryError):
        return ResourceError("there is not enough memory; use less data, a smaller model or smaller batches")
    if isinstance(error, OSError) and error.errno in _REFUSED:
        place = str(error.filename) if error.filename else "the output"
        return ResourceError(f"cannot write {place}: {(error.strerror or str(error)).lower()}; name another place")
    message = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    hint = "" if session.debug else "; run it again as 'textclf --debug ...' for the traceback, and report it"
    return TextclfError(f"a bug in textclf: {message}{place}{hint}")


def usage_message(error: Any) -> str:
    """Return one sentence: the command, what is wrong, what was meant, and where help is."""
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx else "textclf"
    option = getattr(error, "option_name", None)
    missing = re.match(r"No such command '(.*?)'\.", error.message, re.DOTALL)
    if option and type(error).__name__ == "NoSuchOption":
        known = [name for param in ctx.command.get_params(ctx) for name in param.opts] if ctx else []
        sentence = f"'{command}' has no option '{option}'{did_you_mean(option, known)}"
    elif missing and ctx:
        word = missing.group(1)
        sentence = f"'{command}' has no command '{word}'{did_you_mean(word, ctx.command.commands)}"
    else:
        sentence = " ".join(error.format_message().split()).rstrip(".")
        sentence = sentence[:1].lower() + sentence[1:]
    return f"{sentence}; see '{command} --help'"


def _print(error: TextclfError, session: Session) -> None:
    terminal = session.terminal
    if terminal.as_json and not terminal.answered:
        terminal.document({"error": error_json(error)})
        terminal.out.flush()
        return
    positioned = isinstance(error, RecipeError) and any(problem.location for problem in error.problems)
    terminal.note(str(error) if positioned else f"textclf: {error}")


def error_json(error: TextclfError) -> dict[str, Any]:
    """Return an error's stable JSON form."""
    problems = error.problems if isinstance(error, RecipeError) else ()
    return {
        "message": str(error),
        "exit_code": error.exit_code,
        "problems": [
            {
                "message": problem.message,
                "path": ".".join(map(str, problem.path)),
                "source": problem.location and problem.location.source,
                "line": problem.location.line or None if problem.location else None,
                "column": problem.location.column if problem.location and problem.location.line else None,
            }
            for problem in problems
        ],
    }


def _exit_despite_threads(code: int, note: Callable[[str], None]) -> None:
    """Let this process end soon after its main thread, although Python waits for every thread that is no daemon.

    The watch is a daemon beside the interpreter's own end, because that is what ends the pools of `concurrent.futures`.
    """

    def running() -> list[str]:
        main_thread = threading.main_thread()
        return [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not main_thread]

    def watch() -> None:
        until = time.monotonic() + PATIENCE
        while running() and time.monotonic() < until:
            time.sleep(0.05)
        names = ", ".join(f"'{name}'" for name in running()[:3])
        if names:
            hint = "a plugin should start them with daemon=True"
            with suppress(OSError, ValueError):
                note(f"warning: threads {names} are still running; exiting without them; {hint}")
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    if running():
        threading.Thread(target=watch, daemon=True, name="textclf: end").start()
