"""Owns the confusion matrix as a figure: counts and row shares, as dark as the share is great."""

from __future__ import annotations

from collections.abc import Sequence

from textclf import Markup, quoted

from .drawing import Figure, short

LIMIT = 20  # labels; more are a table of the commonest confusions
_LETTER = 6.6  # pixels, about


def matrix_figure(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> Markup:
    """Draw the matrix; a column beyond the labels counts the texts that got none. It scrolls rather than shrinks."""
    columns = [quoted(name) for name in names] + ["no label"] * (len(matrix[0]) - len(names))
    cell = 74 if len(names) <= 3 else 50 if len(names) <= 8 else 42
    rows = [short(quoted(name), 16) for name in names]
    heads = [short(name, 16) for name in columns]
    flat = max(map(len, heads)) * _LETTER < cell
    left = 12 + _LETTER * max(len("predicted →"), *map(len, rows))
    top = 40.0 if flat else 28 + 0.75 * _LETTER * max(map(len, heads))
    slack = 0 if flat else 0.7 * _LETTER * max(map(len, heads[-2:]))
    right = sum(counts[row] for row, counts in enumerate(matrix))
    figure = Figure(
        "matrix", "Confusion matrix",
        f"True labels in rows, predicted ones in columns. {right:,} of {sum(map(sum, matrix)):,} texts are on the "
        f"diagonal: right. The same numbers are in the table.",
        left + cell * len(columns) + max(8, slack), top + cell * len(matrix) + 8,
    )  # fmt: skip
    figure.text(left - 8, top - 24, "predicted →", "name", "end")
    figure.text(left - 8, top - 8, "true ↓", "name", "end")
    for column, head in enumerate(heads):
        x = left + cell * (column + 0.5)
        if flat:
            figure.text(x, top - 8, head, "tick", "middle", tip=columns[column])
        else:
            figure.text(x, top - 8, head, "tick", "start", turn=-45, tip=columns[column])
    for row, counts in enumerate(matrix):
        y = top + cell * row
        figure.text(left - 8, y + cell / 2 + 4, rows[row], "tick", "end", tip=quoted(names[row]))
        for column, count in enumerate(counts):
            said = f"true {columns[row]}, predicted {columns[column]}"
            _cell(figure, left + cell * column, y, cell, count, sum(counts), said, right=row == column)
    return figure.markup()


def _cell(figure: Figure, x: float, y: float, size: float, count: int, total: int, said: str, *, right: bool) -> None:
    share = count / total if total else 0.0
    tip = f"{said}: {count:,} of {total:,}, {100 * share:.1f} %"
    figure.rect(x + 1, y + 1, size - 2, size - 2, "cell own" if right else "cell", tip, share)
    middle = x + size / 2
    figure.text(middle, y + size / 2 - 2, f"{count:,}", "count", "middle", tip=tip)
    figure.text(middle, y + size / 2 + 12, f"{100 * share:.0f} %", "share", "middle", tip=tip)
