"""Owns what can be found wrong with the options of `vectors` before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from textclf import Problem

from .places import NotHere, locate

if TYPE_CHECKING:
    from . import VectorsOptions


def check(options: VectorsOptions) -> Iterator[Problem]:
    """Yield options that clash, and files and packages that are not here; no file is read."""
    if options.network in ("lstm", "gru") and options.layers == 0:
        yield Problem(f"an {options.network} has at least 1 layer; network: mean reads with none", ("layers",))
    try:
        place = locate(options)
    except NotHere as problem:
        yield Problem(str(problem), (problem.option,), exit_code=problem.exit_code)
        return
    if place.words is not None and place.words.suffix == ".parquet" and find_spec("pyarrow") is None:
        yield Problem("the word list is Parquet: pip install 'pyarrow>=17'", ("words",), exit_code=5)
