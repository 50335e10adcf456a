"""Owns the writing of plain values as YAML that reads as the same values, by YAML 1.2 and by YAML 1.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from .scalars import resolve

_BREAKS = frozenset("\r\n\x85\u2028\u2029\ufeff")
_TEXT = "tag:yaml.org,2002:str"


class _Writer(yaml.SafeDumper):
    """PyYAML quotes what YAML 1.1 would not read as text; `1e3` is text there, and a number in YAML 1.2."""

    def represent_scalar(self, tag: str, value: str, style: str | None = None) -> yaml.ScalarNode:
        if tag == _TEXT and style is None and not _is_text(value):
            style = '"'
        return super().represent_scalar(tag, value, style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(values: Mapping[str, Any]) -> str:
    """Return a recipe's values as YAML, in their order."""
    return yaml.dump(dict(values), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=1_000_000)


def _is_text(value: str) -> bool:
    """Tell whether a text may stand without quotes; unusual line breaks would be lost even in single ones."""
    if not _BREAKS.isdisjoint(value):
        return False
    try:
        return resolve(value) == value
    except ValueError:
        return False
