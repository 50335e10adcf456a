"""A trainer for textclf: gradient-boosted decision trees, grown by LightGBM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textclf import Component, Field, Options, Traits

if TYPE_CHECKING:
    from .trainer import TreesTrainer


class TreesOptions(Options):
    rounds: int = Field(200, ge=1, le=100_000, description="how often each label gets one more tree, at the most")
    rate: float = Field(0.1, gt=0, le=1, description="how much each tree counts; half of it needs twice the rounds")
    leaves: int = Field(31, ge=2, le=4096, description="the most leaves of a tree")
    least: int = Field(5, ge=1, le=1_000_000, description="the fewest training texts in a leaf")
    share: float = Field(
        0.5, gt=0, le=1, description="the share of the columns that a tree may ask about, drawn for each anew"
    )
    shrink: float = Field(1.0, ge=0, le=1_000_000, description="the L2 penalty on the values of leaves")
    patience: int | None = Field(
        None, ge=1, le=100_000,
        description="end after so many rounds without a better one on the validation texts, and keep the best; "
        "null grows all rounds and needs no validation texts",
    )  # fmt: skip
    threads: int = Field(
        1, ge=0, le=1024, description="how many threads; the trees are the same with any; 0 is one for each core"
    )
    checkpoint_every: int = Field(25, ge=1, le=100_000, description="how many rounds between two checkpoints")


def traits(options: TreesOptions) -> Traits:
    return Traits(
        reads=frozenset({"matrix"}),
        tasks=frozenset({"single-label", "multi-label"}),
        pairs=True,
        uses_validation=options.patience is not None,
    )


def build(options: TreesOptions) -> TreesTrainer:
    from .trainer import TreesTrainer  # LightGBM is imported there, and only there

    return TreesTrainer(options)


def textclf_trainers() -> list[Component[Any, Any]]:
    return [
        Component(
            name="trees",
            summary="gradient-boosted decision trees by LightGBM",
            options=TreesOptions,
            build=build,
            traits=traits,
            needs=("lightgbm",),
            install="lightgbm>=4.6,<5",
        )
    ]
