"""`textclf explain`, and how an explanation looks on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..data.html import quoted, visible
from ..errors import DataError, RecipeError, counted
from .arguments import Json, RunArgument, Runs, as_text
from .format import fixed, plain_lines, shorten, signed
from .rows import decode
from .session import Session

if TYPE_CHECKING:
    from ..data.explanation import Explanation, Word
    from ..model.classifier import Classifier
    from ..plugin.events import Event
    from .progress import RunProgress

_TOP, _WIDTH = 10, 40
# Characters at each end of a long text that are shown: some fifty lines.
_END = 4000
_UNSEEN = "dim strike"
# Shares of the largest contribution from which a word is marked, and its background is coloured.
_MARKED, _FILLED = 0.05, 0.4

TextArgument = Annotated[str, typer.Argument(metavar="TEXT", help="The text to explain; - is stdin, all of it.")]
Label = Annotated[
    str | None, typer.Option("--label", metavar="LABEL", help="The label to explain; else the predicted ones.")
]
Pair = Annotated[str | None, typer.Option("--pair", metavar="TEXT", help="The second text of a pair.")]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="METHOD",
        help="exact (linear models), gradients (networks), occlusion (any); auto takes the first that applies.",
    ),
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page for the browser.")]
Force = Annotated[bool, typer.Option("--force", help="Let --html replace a file of any kind.")]


def explain(
    ctx: typer.Context,
    run: RunArgument,
    text: TextArgument,
    label: Label = None,
    pair: Pair = None,
    method: Method = "auto",
    html: Html = None,
    force: Force = False,
    runs: Runs = "runs",
    as_json: Json = False,
) -> None:
    """Show what each word of a text contributed to a label.

    Several predicted labels are explained one after the other.
    """
    from ..model.explain import checked_method
    from .progress import RunProgress

    session = Session.of(ctx)
    checked_method(method, "--method")
    if html is not None and not force:
        _refuse_replacing(html)
    classifier = session.engine(runs=runs).load(run)
    _check(classifier, label, pair)
    with RunProgress(session.terminal.notes) as progress:
        explanations = classifier.explain(
            [_stdin() if text == "-" else as_text(text)],
            None if label is None else as_text(label),
            None if pair is None else [as_text(pair)],
            method=method,
            observer=_ExplainProgress(progress),
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


class _ExplainProgress:
    """An observer that shows the progress of deletions, and each warning once, since each deletion repeats it."""

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress
        self._warned: set[str] = set()

    def __call__(self, event: Event) -> None:
        from ..plugin.events import Progress, Warned

        if isinstance(event, Progress) and event.stage == "explain" and event.total > 1:
            self._progress(event)
        elif isinstance(event, Warned) and event.message not in self._warned:
            self._warned.add(event.message)
            self._progress(event)


def _stdin() -> str:
    if sys.stdin is None:
        raise RecipeError("stdin is closed; give a text")
    return decode(sys.stdin.buffer.read(), "stdin: ").removesuffix("\n").removesuffix("\r")


def _refuse_replacing(target: Path) -> None:
    """Raise a RecipeError if the target, or what it links to, is a file but no page of explanations."""
    from ..data.explanation import is_page

    if not target.is_file():
        return  # nothing can be lost; other errors are reported when the page is written
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


def explanation_parts(explanation: Explanation) -> list[RenderableType]:
    """Return the label, the text with its words marked, the words that matter most, and what was computed."""
    from ..data.explanation import account

    title = f"{shorten(quoted(explanation.label), _WIDTH)}: probability {fixed(explanation.score)}"
    parts: list[RenderableType] = ["", Text(title, style="bold"), ""]
    texts = [explanation.text] if explanation.pair is None else [explanation.text, explanation.pair]
    for part, text in enumerate(texts):
        parts += [_marked(explanation, part, text), ""] if text.strip() else []
    idle = explanation.idle
    parts += [idle, ""] if idle else [_legend(explanation), "", _table(explanation), ""]
    parts.append(visible(account(explanation)))
    if not explanation.tolerable:
        parts.append("warning: the contributions miss the difference by more than a hundredth of it; they are rough")
    return parts


def _legend(explanation: Explanation) -> Text:
    # Each entry in its own style: the style of a text that another is added to would be that of both.
    entries = [Text("for it", style=_style(1.0)), Text("against it", style=_style(-1.0))]
    if any(not word.seen for word in explanation.words):
        entries.append(Text("unknown or not read", style=_UNSEEN))
    return Text(", ").join(entries)


def _marked(explanation: Explanation, part: int, text: str) -> Text:
    """Return a text with its words marked, of a long one its two ends."""
    most = max((abs(word.contribution) for word in explanation.words), default=0.0)
    words = [word for word in explanation.words if word.part == part]
    start, end = _left_out(words, len(text))
    if start == end:
        return _marked_words(text, words, 0, len(text), most)
    out = sum(start <= word.start < end for word in words)
    size = f"{counted(end - start, 'character')}, {counted(out, 'word')}"
    note = Text(f"[left out here: {size}; --html FILE and --json have all]", style="dim")
    shown = (_marked_words(text, words, 0, start, most), note, _marked_words(text, words, end, len(text), most))
    return Text("\n").join(piece for piece in shown if piece)


def _left_out(words: list[Word], length: int) -> tuple[int, int]:
    """Return the characters between the ends of a long text, rounded to whole words."""
    start, end = (_END, length - _END) if length > 2 * _END else (length, length)
    for word in words:
        start = word.start if word.start < start < word.end else start
        end = word.end if word.start < end < word.end else end
    return start, end


def _marked_words(text: str, words: list[Word], start: int, end: int, most: float) -> Text:
    found, at = Text(), start
    for word in words:
        if start <= word.start and word.end <= end:
            style = _style(word.contribution / most if most else 0.0) if word.seen else _UNSEEN
            found.append(plain_lines(visible(text[at : word.start])))
            found.append(plain_lines(visible(word.text)), style=style)
            at = word.end
    return found.append(plain_lines(visible(text[at:end])))


def _style(share: float) -> str:
    """Return the style of a word: colours for all eyes, bold and underlined where there are none."""
    if abs(share) < _MARKED:
        return ""
    if abs(share) < _FILLED:
        return "bold #3a9bdc" if share > 0 else "underline #d98200"
    return "bold #ffffff on #0067a8" if share > 0 else "underline #000000 on #f0a030"


def _table(explanation: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("word", no_wrap=True)
    table.add_column("contribution", justify="right", no_wrap=True)
    table.add_column("speaks", no_wrap=True)
    for word in explanation.top(_TOP):
        side = "for it" if word.contribution > 0 else "against it" if word.contribution < 0 else ""
        table.add_row(Text(shorten(visible(word.text), _WIDTH)), signed(word.contribution), side)
    return table
