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

from ..errors import Cancelled, RecipeError, ResourceError, Stopped, TextclfError, did_you_mean
from .app import make
from .session import Session

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


PATIENCE = 5.0  # seconds that a thread has to end by itself, such as one that sends the last of something


def end_without_threads(code: int, note: Callable[[str], None]) -> None:
    """See to it that this process ends with the exit code soon after its main thread, whatever other threads do.

    The pools of `concurrent.futures` are no such threads: the interpreter ends them, once it waits for all.
    """
    if _lingering():
        threading.Thread(target=_end, args=(code, note), daemon=True, name="textclf: end").start()


def _lingering() -> list[threading.Thread]:
    """Return the threads, but for the main one, that Python waits for."""
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]


def _end(code: int, note: Callable[[str], None]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(0.05)
        if not _lingering():
            return
    names = ", ".join(f"'{thread.name}'" for thread in _lingering()[:3])
    with suppress(OSError, ValueError):
        note(f"warning: textclf ends without the threads {names}, which go on; a plugin starts them with daemon=True")
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


# What the machine or the user's folders refuse; any other OSError is a fault of ours.
_REFUSED = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM,
    errno.EIO, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, print its errors, and return the exit code.

    Without arguments it is the command that this process was started for, and the process ends with it.
    """
    _mend_streams()
    session = Session(sys.argv[1:] if arguments is None else arguments)
    code = _code(session)
    if arguments is None:
        end_without_threads(code, session.terminal.note)
    return code


def _code(session: Session) -> int:
    with session.interrupts.installed():
        try:
            code = _invoke(session)
            sys.stdout.flush()
            return code
        except BaseException as error:  # noqa: BLE001 - the one place where every error ends
            return _ended(error, session)


def _invoke(session: Session) -> int:
    _refuse_no_files(session.plugins)
    command = get_command(make())
    outcome = command.main(args=list(session.words), prog_name="textclf", standalone_mode=False, obj=session)
    # A number is the code of a typer.Exit; commands themselves return nothing.
    return outcome if isinstance(outcome, int) else 0


def _refuse_no_files(plugins: Sequence[str]) -> None:
    """Refuse a --plugin that is no file, whatever the command does with plugins."""
    if plugins:
        from ..plugin.single_file import read

        for file in plugins:
            read(file)


def _ended(error: BaseException, session: Session) -> int:
    """Say what went wrong, on stderr or in the one document, and return the exit code."""
    if _closed_pipe(error):
        _drop_stdout()
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, UsageError) and type(error).__name__ == "NoArgsIsHelpError":
        return 2
    if session.debug and not isinstance(error, (UsageError, Stopped)):
        traceback.print_exception(error)
    known = _known(error, session)
    with suppress(OSError, ValueError):
        _show(known, session)
    return known.exit_code


def _known(error: BaseException, session: Session) -> TextclfError:
    """Return the error as one that users can read."""
    if isinstance(error, TextclfError):
        return error
    if isinstance(error, UsageError):
        return RecipeError(usage_message(error))
    if isinstance(error, KeyboardInterrupt):
        return (Stopped if session.interrupts.exit_code == Stopped.exit_code else Cancelled)("stopped")
    if isinstance(error, MemoryError):
        return ResourceError("there is not enough memory; use less data, a smaller model or smaller batches")
    if isinstance(error, OSError) and error.errno in _REFUSED:
        place = str(error.filename) if error.filename else "the output"
        return ResourceError(f"cannot write {place}: {(error.strerror or str(error)).lower()}; name another place")
    return TextclfError(_bug(error, session))


def _bug(error: BaseException, session: Session) -> str:
    words = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    hint = "" if session.debug else "; run it again as 'textclf --debug ...' for the traceback, and report it"
    return f"a bug in textclf: {words}{place}{hint}"


def _show(error: TextclfError, session: Session) -> None:
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


def _closed_pipe(error: BaseException) -> bool:
    """Tell whether a reader went away: typer turns that into SystemExit(1)."""
    return isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError)


def _drop_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter can end quietly."""
    with suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _mend_streams() -> None:
    """Let streams that are closed swallow, and streams that know only ASCII escape, what is written to them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
