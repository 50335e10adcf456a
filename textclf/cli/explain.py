"""Owns `textclf explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DataError, RecipeError
from .arguments import Json, RunArgument, Runs, as_text
from .session import Session

if TYPE_CHECKING:
    from ..data.explanation import Explanation
    from ..model.classifier import Classifier
    from ..plugin.events import Event
    from .progress import Watcher

Given = Annotated[str, typer.Argument(metavar="TEXT", help="The text to explain; - is stdin, all of it.")]
Label = Annotated[
    str | None, typer.Option("--label", metavar="LABEL", help="The label to explain; else what is predicted.")
]
Pair = Annotated[str | None, typer.Option("--pair", metavar="TEXT", help="The second text of a pair.")]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="METHOD",
        help="exact (linear models), gradients (networks), occlusion (any); auto takes the first that there is.",
    ),
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page for the browser.")]
Force = Annotated[bool, typer.Option("--force", help="Let --html replace a file of any kind.")]


def explain(
    ctx: typer.Context,
    run: RunArgument,
    text: Given,
    label: Label = None,
    pair: Pair = None,
    method: Method = "auto",
    html: Html = None,
    force: Force = False,
    runs: Runs = "runs",
    as_json: Json = False,
) -> None:
    """Say what each word of a text contributed to a label.

    Several labels that are predicted are explained one after the other.
    """
    from ..model.explain import checked_method
    from .explained import explanation_parts
    from .progress import Watcher

    session = Session.of(ctx)
    checked_method(method, "--method")
    if html is not None and not force:
        _refuse_others(html)
    classifier = session.engine(runs=runs).load(run)
    _check(classifier, label, pair)
    given = _stdin() if text == "-" else as_text(text)
    second = None if pair is None else [as_text(pair)]
    with Watcher(session.terminal.notes) as watcher:
        explanations = classifier.explain(
            [given], None if label is None else as_text(label), second, method=method, observer=_Told(watcher)
        )
    if html is not None:
        _write(html, explanations)
    if as_json:
        session.terminal.document({"run": run, "explanations": [each.to_json() for each in explanations]})
        return
    for each in explanations:
        session.terminal.answer(*explanation_parts(each))
    if html is not None:
        session.terminal.note(f"wrote {html}")


def _check(classifier: Classifier, label: str | None, pair: str | None) -> None:
    if classifier.pairs and pair is None:
        raise RecipeError("this classifier reads pairs of texts; add --pair TEXT")
    if pair is not None and not classifier.pairs:
        raise RecipeError("--pair: this classifier reads single texts, not pairs")
    if label is not None:
        try:
            classifier.labels.index(as_text(label))
        except DataError as error:
            raise RecipeError(f"--label: {error}") from None


class _Told:
    """An observer that shows how far words are deleted, and each warning once, since each text would say it anew."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._warned: set[str] = set()

    def __call__(self, event: Event) -> None:
        from ..plugin.events import (
            Progress,
            Warned,  # `--help` reads this module, and needs no event
        )

        if isinstance(event, Progress) and event.stage == "explain" and event.total > 1:
            self._watcher(event)
        elif isinstance(event, Warned) and event.message not in self._warned:
            self._warned.add(event.message)
            self._watcher(event)


def _stdin() -> str:
    if sys.stdin is None:
        raise RecipeError("stdin is closed; give a text")
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        place = f"stdin: byte {error.start + 1}"
        raise DataError(f"{place}: is no UTF-8 text; convert it first, as with iconv -f LATIN1 -t UTF-8") from None


def _refuse_others(target: Path) -> None:
    """Raise a RecipeError where a file is in the way, or behind a link, that is no page of explanations."""
    from ..data.explanation import is_page

    if not target.is_file():
        return  # nothing would be lost; what cannot be written to says so when it is
    try:
        with target.open("rb") as file:
            ours = is_page(file.read(1000))
    except OSError:
        ours = False
    if not ours:
        raise RecipeError(
            f"--html: {target} exists and is no page of explanations; name another file, or add --force to replace it"
        )


def _write(target: Path, explanations: list[Explanation]) -> None:
    from ..data.explanation import page

    try:
        target.write_text(page(explanations), "utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        reason = (error.strerror or str(error)).lower()
        raise RecipeError(f"--html: {target} cannot be written: {reason}; name another file") from None
