"""The IMDB film reviews of the notebook, from Google Drive, and recipes that learn from them."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from textclf import Component

from .options import INSTALL, ImdbOptions, problems

if TYPE_CHECKING:
    from .dataset import ImdbReviews


def build(options: ImdbOptions) -> ImdbReviews:
    from .dataset import ImdbReviews

    return ImdbReviews(options)


def textclf_datasets() -> list[Component[Any, Any]]:
    return [
        Component(
            name="imdb",
            summary="62,155 IMDB film reviews, negative or positive, from Google Drive",
            options=ImdbOptions,
            build=build,
            # `check` looks for gdown: a local file or a mirror does not need it.
            check=problems,
            install=INSTALL,
        )
    ]


def textclf_recipes() -> Traversable:
    return files(__name__) / "recipes"
