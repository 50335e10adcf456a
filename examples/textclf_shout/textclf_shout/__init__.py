"""An encoder for textclf that hears words in capitals louder than others."""

from textclf import Component, Field, Options, Traits


class ShoutOptions(Options):
    loudness: int = Field(3, ge=1, le=9, description="how often a word in capitals counts; 1 hears no shouting")
    columns: int = Field(4096, ge=16, le=1_048_576, description="how many columns the words are hashed into")


def build(options: ShoutOptions):
    from .shout import ShoutEncoder  # numpy and scipy are imported there, and only there

    return ShoutEncoder(options.loudness, options.columns)


def restore(options: ShoutOptions, folder):
    from .shout import restore_encoder

    return restore_encoder(options.loudness, options.columns, folder)


def textclf_encoders():
    return [
        Component(
            name="shout",
            summary="hashed words, those in capitals louder, weighted by how rare they are",
            options=ShoutOptions,
            build=build,
            restore=restore,
            traits=Traits(makes="counts", tasks=frozenset({"single-label", "multi-label"})),
        )
    ]
