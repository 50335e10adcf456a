"""Rated reviews inside the package, and recipes that train on them without a network."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Literal

from textclf import Component, Field, Options

if TYPE_CHECKING:
    from .dataset import Reviews


class ReviewsOptions(Options):
    domain: Literal["movies", "products", "both"] = Field(
        "movies", description="sentences of film reviews (10,568), of product reviews (3,610), or both"
    )
    min_strength: float = Field(
        0.0, ge=0, le=4, description="the least absolute rating, of 4; more leaves fewer and clearer sentences"
    )


def build(options: ReviewsOptions) -> Reviews:
    from .dataset import Reviews

    return Reviews(options)


def textclf_datasets() -> list[Component[Any, Any]]:
    return [
        Component(
            name="reviews",
            summary="sentences of film and product reviews, rated by people, inside the package",
            options=ReviewsOptions,
            build=build,
        )
    ]


def textclf_recipes() -> Traversable:
    return files(__name__) / "recipes"
