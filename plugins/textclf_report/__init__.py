"""One self-contained page of a run, report.html: figures, tables and the worst mistakes, without script or network."""

from __future__ import annotations

from typing import Any

from textclf import Component, Field, Options, Traits


class HtmlOptions(Options):
    file: str = Field("report.html", pattern=r"^[A-Za-z0-9_-]+\.html$", description="the file that is written")
    mistakes: int = Field(20, ge=0, le=1000, description="how many of the worst mistakes are shown")


def textclf_outputs() -> list[Component[Any, HtmlOptions]]:
    def build(options: HtmlOptions) -> Any:
        from .output import HtmlReport

        return HtmlReport(options.file, options.mistakes)

    return [
        Component(
            name="html",
            summary="one page with figures and the worst mistakes, to be read in any browser",
            options=HtmlOptions,
            build=build,
            traits=Traits(tasks=frozenset({"single-label", "multi-label"})),
            needs=("jinja2",),
            install="jinja2>=3.1",
        )
    ]
