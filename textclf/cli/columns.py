"""Owns which columns of a user's table hold the texts, the second texts and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import RecipeError, TextclfError, did_you_mean, listing

if TYPE_CHECKING:
    from ..engine import Engine

Role = Literal["text", "pair", "label"]
_USUAL: dict[Role, tuple[str, ...]] = {
    "text": ("text", "texts", "review", "sentence", "content", "body", "comment", "message", "document"),
    "pair": ("pair", "text_pair", "text2", "sentence2", "second", "hypothesis"),
    "label": ("label", "labels", "class", "category", "target", "sentiment"),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that the options name; None is to be found."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None

    def find(self, role: Role, columns: Sequence[str], options: dict[str, Any], table: str) -> str:
        """Return the column for `role`: the given one, the training data's, or one that is usually called so."""
        given: str | None = getattr(self, role)
        known = f"(columns: {listing(columns)})"
        if given is not None:
            if given not in columns:
                raise RecipeError(f"{table} has no column '{given}'{did_you_mean(given, columns)} {known}")
            return given
        trained = options.get(role) or (options.get("labels") if role == "label" else None)
        for wanted in (trained, *_USUAL[role]):
            if isinstance(wanted, str) and wanted in columns:
                return wanted
        if len(columns) == 1 and role == "text":
            return columns[0]
        raise RecipeError(f"{table} does not tell which column is the {role}; say --{role} COLUMN {known}")


def dataset_options(engine: Engine, run: str) -> dict[str, Any]:
    """Return the options of the dataset that a run was trained on; none where only its model folder is left."""
    import yaml

    from ..runs.folder import RECIPE

    try:
        recipe = yaml.safe_load((engine.find(run) / RECIPE).read_text(encoding="utf-8"))
        options = recipe["dataset"]
    except (TextclfError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return options if isinstance(options, dict) else {}
