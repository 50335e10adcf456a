"""Outputs that break one clause each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textclf.testing.toy import ToySummary

from .making import Culprit, wrong


def output(act: Callable[[Any, Any], Any]) -> Culprit:
    class Acting(ToySummary):
        def write(self, finished: Any, folder: Any) -> None:
            super().write(finished, folder)
            act(finished, folder)

    return wrong("output", Acting)


def once(finished: Any, folder: Any) -> None:
    with (folder / "once.txt").open("x") as file:
        file.write("written")


def correct(finished: Any, folder: Any) -> None:
    finished.history[0]["loss"] = finished.history[0]["loss"] / 2


def narrow(finished: Any, folder: Any) -> None:
    (folder / "texts.txt").write_text("\n".join(finished.predictions.texts.first), "ascii")


def count(finished: Any, folder: Any) -> None:
    label = finished.predictions.truth[0]
    (folder / "first.txt").write_text(finished.predictions.labels.names[label])


OUTPUTS: dict[str, Culprit] = {
    "output.folder": output(lambda finished, folder: (folder.parent / "astray.txt").write_text("here")),
    "output.tasks": output(count),
    "output.names": output(lambda finished, folder: (folder / "metrics.json").write_text("{}")),
    "output.again": output(once),
    "output.input": output(correct),
    "output.hostile": output(narrow),
}
