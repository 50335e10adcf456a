"""A dataset provider for textclf: the rows of one SELECT from an SQLite database, which it cannot change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from textclf import Component, Field, Options, Problem

if TYPE_CHECKING:
    from .dataset import SqlDataset

Name = Annotated[str, Field(min_length=1, max_length=500)]


class SqlOptions(Options):
    path: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="the SQLite database, a file; it is opened for reading only"
    )
    query: str = Field(
        min_length=1, max_length=100_000, description="one SELECT, with ORDER BY where the order of rows matters to you"
    )
    text: Name | Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        "text", description="the text's column, or several, whose texts are joined by line breaks, empty ones left out"
    )
    label: Name = Field("label", description="the label's column: texts or whole numbers")
    label_names: dict[str, Name] = Field(
        {}, description="names for the values of the label's column, such as {'0': bad, '1': good}, in column order"
    )
    id: Name | None = Field(None, description="the column of the rows' ids, each once; without it the row's number")
    group: Name | None = Field(
        None, description="the column that tells which rows belong together; a split never parts a group"
    )

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text,) if isinstance(self.text, str) else self.text


def build(options: SqlOptions) -> SqlDataset:
    from .dataset import SqlDataset

    return SqlDataset(options)


def check(options: SqlOptions) -> Iterable[Problem]:
    from .database import problems

    return problems(options)


def textclf_datasets() -> list[Component[Any, Any]]:
    return [
        Component(
            name="sql",
            summary="the rows of a query on an SQLite database, which is only read",
            options=SqlOptions,
            build=build,
            check=check,
        )
    ]
