"""Parquet files, read and written row by row with pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import DataError, PluginError

if TYPE_CHECKING:
    import pyarrow


_BATCH_BYTES = 16 * 2**20
_BATCH_ROWS = 1024


def parquet_rows(file: BinaryIO, name: str, limit: int) -> tuple[list[str], Iterator[tuple[int, dict[str, Any]]], int]:
    """Return the columns, an iterator over (row from 1, values), and the number of rows of a Parquet file."""
    pq = _pyarrow("read", name)[1]
    try:
        opened = pq.ParquetFile(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(f"{name}: is no whole Parquet file ({_first_line(error)}); fetch or write it again") from None
    return list(opened.schema_arrow.names), _batches(opened, name, limit), int(opened.metadata.num_rows)


def _batches(opened: Any, name: str, limit: int) -> Iterator[tuple[int, dict[str, Any]]]:
    groups = [opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups)]
    width = max((g.total_byte_size // max(g.num_rows, 1) for g in groups), default=1)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(width, 1)))
    number = 0
    try:
        for batch in opened.iter_batches(batch_size=rows):
            for values in batch.to_pylist():
                number += 1
                if any(isinstance(v, (str, bytes)) and len(v) > limit for v in values.values()):
                    raise DataError(f"{name}: row {number} is too long to be a row of texts")
                yield number, values
    except (OSError, ValueError) as error:
        place = f"{name}: the Parquet data behind row {number} is damaged"
        raise DataError(f"{place} ({_first_line(error)}); fetch or write it again") from None
    except MemoryError:
        raise DataError(f"{name}: the rows behind row {number} do not fit into memory") from None


class ParquetRows:
    """Writes rows to a Parquet file in batches; each column keeps the type of its first batch, text where mixed."""

    def __init__(self, file: BinaryIO, name: str, columns: Sequence[str]) -> None:
        self.pa, self.pq = _pyarrow("write", name)
        self.file, self.name, self.columns = file, name, list(columns)
        self.rows: list[Sequence[Any]] = []
        self.written = 0
        self.writer: Any = None

    def write(self, row: Sequence[Any]) -> None:
        self.rows.append(row)
        if len(self.rows) >= _BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        if self.rows or self.writer is None:
            self._flush()
        self.writer.close()

    def _flush(self) -> None:
        types = [None] * len(self.columns) if self.writer is None else list(self.writer.schema.types)
        values = [[row[i] for row in self.rows] for i in range(len(self.columns))]
        arrays = [self._array(v, t, c) for v, t, c in zip(values, types, self.columns, strict=True)]
        table = self.pa.Table.from_arrays(arrays, names=self.columns)
        if self.writer is None:
            self.writer = self.pq.ParquetWriter(self.file, table.schema)
        self.writer.write_table(table)
        self.written += len(self.rows)
        self.rows = []

    def _array(self, values: list[Any], kind: Any, column: str) -> pyarrow.Array:
        try:
            array = self.pa.array(values, type=kind)
            return array.cast(self.pa.string()) if self.pa.types.is_null(array.type) else array
        except (ValueError, TypeError, OverflowError):
            if kind is None or self.pa.types.is_string(kind):
                return self.pa.array([None if v is None else str(v) for v in values], self.pa.string())
            raise DataError(
                f"{self.name}: column '{column}' began as {kind} and holds something else behind row {self.written}; "
                "write CSV or JSONL instead"
            ) from None


def _pyarrow(verb: str, name: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PluginError(f"{name}: pyarrow is needed to {verb} Parquet; pip install pyarrow") from None
    return pyarrow, pyarrow.parquet


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")[:200] if str(error).strip() else type(error).__name__
