"""An encoder for textclf: character n-grams inside words, hashed into columns, without a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ValidationInfo, field_validator

from textclf import Component, Field, Options, Traits

if TYPE_CHECKING:
    from .encoder import NgramsEncoder

Size = Annotated[int, Field(ge=1, le=20)]


class NgramsOptions(Options):
    shortest: Size = Field(2, description="the fewest characters of an n-gram")
    longest: Size = Field(5, description="the most characters of an n-gram; not fewer than `shortest`")
    columns: int = Field(
        262_144, ge=16, le=2**27, description="how many columns n-grams are hashed into; fewer make more of them meet"
    )
    lowercase: bool = Field(True, description="whether capitals are read as small letters")
    sublinear_tf: bool = Field(True, description="whether an n-gram that occurs n times counts 1 + log n")
    use_idf: bool = Field(True, description="whether n-grams that are rare in the training texts count more")

    @field_validator("longest")
    @classmethod
    def _reaches_the_shortest(cls, longest: int, known: ValidationInfo) -> int:
        shortest = known.data.get("shortest", 1)
        if longest < shortest:
            raise ValueError(f"is less than shortest, which is {shortest}")
        return longest


def build(options: NgramsOptions) -> NgramsEncoder:
    from .encoder import NgramsEncoder  # scikit-learn is imported there, and only there

    return NgramsEncoder(options)


def restore(options: NgramsOptions, folder: Path) -> NgramsEncoder:
    from .encoder import restore_encoder

    return restore_encoder(options, folder)


def textclf_encoders() -> list[Component[Any, Any]]:
    return [
        Component(
            name="ngrams",
            summary="hashed character n-grams inside words, weighted by how rare they are",
            options=NgramsOptions,
            build=build,
            restore=restore,
            traits=Traits(makes="counts", tasks=frozenset({"single-label", "multi-label"}), pairs=True),
        )
    ]
