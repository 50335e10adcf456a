"""The user's own data: CSV, TSV, JSONL and Parquet files, gzipped or not, on this machine or on the web."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textclf import Component

from .dataset import problems
from .options import FilesOptions, traits

if TYPE_CHECKING:
    from .dataset import FilesDataset


def build(options: FilesOptions) -> FilesDataset:
    from .dataset import FilesDataset

    return FilesDataset(options)


def textclf_datasets() -> list[Component[Any, Any]]:
    return [
        Component(
            name="files",
            summary="your own texts and labels: CSV, TSV, JSONL or Parquet, a local path or an https URL",
            options=FilesOptions,
            build=build,
            traits=traits,
            check=problems,
        )
    ]
