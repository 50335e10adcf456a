"""Owns which columns of a user's table hold the texts, the second texts and the labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import DataError, RecipeError, TextclfError, did_you_mean, listing

if TYPE_CHECKING:
    from ..engine import Engine
    from ..tables.reader import Row

Role = Literal["text", "pair", "label"]
_USUAL: dict[Role, tuple[str, ...]] = {
    "text": ("text", "texts", "review", "sentence", "content", "body", "comment", "message", "document"),
    "pair": ("pair", "text_pair", "text2", "sentence2", "second", "hypothesis"),
    "label": ("label", "labels", "class", "category", "target", "sentiment"),
}
_TRUE = {"1", "1.0", "true"}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns by role: those that options name, or, after `found`, all there are.

    Several `text` columns are one text, joined by line breaks; several `label` columns are labels with 0 or 1 each.
    """

    text: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    label: tuple[str, ...] = ()

    def found(self, table: str, columns: Sequence[str], trained: Mapping[str, Any], roles: Sequence[Role]) -> Columns:
        """Return the columns for the roles: the given ones, the training data's, or those usually called so."""
        found = {role: self._find(role, table, columns, trained) for role in roles}
        missing = [role for role in roles if not found[role]]
        if missing:
            what = f"column{'s are' if missing[1:] else ' is'} {' and '.join(f'the {role}' for role in missing)}"
            way = " ".join(f"--{role} COLUMN" for role in missing)
            raise RecipeError(f"{table} does not tell which {what}; say {way} (columns: {listing(columns)})")
        return Columns(**found)

    def _find(self, role: Role, table: str, columns: Sequence[str], trained: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the columns of a role; none where nothing tells which they are."""
        given: tuple[str, ...] = getattr(self, role)
        for column in given:
            if column not in columns:
                meant = did_you_mean(column, columns)
                raise RecipeError(f"{table} has no column '{column}'{meant} (columns: {listing(columns)})")
        usual = [(name,) for name in _USUAL[role]]
        for names in (given, _names(trained.get(role)), _names(trained.get(f"{role}s")), *usual):
            if names and all(name in columns for name in names):
                return names
        return tuple(columns) if len(columns) == 1 and role == "text" else ()

    def text_of(self, row: Row) -> str | tuple[str, str]:
        """Return a row's text, or its pair of texts."""
        parts = [row.text(name) for name in self.text]
        text = parts[0] if len(parts) == 1 else "\n".join(part for part in parts if part)
        return (text, row.text(self.pair[0])) if self.pair else text

    def labels_of(self, row: Row, trained: Mapping[str, Any]) -> list[str]:
        """Return a row's labels in a multi-label task: a JSON list, delimited names, or a column of 0 or 1 each."""
        if len(self.label) > 1:
            return [name for name in self.label if row.text(name).strip().lower() in _TRUE]
        value = row.values.get(self.label[0])
        if not isinstance(value, (list, tuple)):
            text = row.text(self.label[0]).strip()
            delimiter = str(trained.get("labels_delimiter", ","))
            value = _listed(text, row) if text.startswith("[") else [part.strip() for part in text.split(delimiter)]
        return list(dict.fromkeys(_renamed(str(name), trained) for name in value if name != ""))

    def label_of(self, row: Row, trained: Mapping[str, Any]) -> str:
        return _renamed(row.text(self.label[0]), trained)


def is_model(run: str) -> bool:
    """Tell whether RUN names a model folder that lies alone, without its run."""
    return Path(run, "textclf.json").is_file() and not Path(run).parent.joinpath("record.json").is_file()


def dataset_options(engine: Engine, run: str) -> dict[str, Any]:
    """Return the options of the dataset that a run was trained on; none where only its model folder is left."""
    import yaml

    from ..run.folder import RECIPE

    try:
        recipe = yaml.safe_load((engine.find(run) / RECIPE).read_text(encoding="utf-8"))
        options = recipe["dataset"]
    except (TextclfError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return options if isinstance(options, dict) else {}


def _names(option: Any) -> tuple[str, ...]:
    """Return what an option of a dataset names as columns; options of other kinds name none."""
    names = [option] if isinstance(option, str) else option
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _listed(text: str, row: Row) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise DataError(f"{row.place}: the labels begin like a JSON list and are none: '{text[:40]}'")
    return value


def _renamed(label: str, trained: Mapping[str, Any]) -> str:
    """Return the label as the training data's `label_names` calls it."""
    names = trained.get("label_names")
    return str(names.get(label, label)) if isinstance(names, dict) else label
