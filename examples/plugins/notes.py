"""A dataset provider: notes in a JSON file, each a text and its label."""

import json
from pathlib import Path

from textclf import Component, DataError, Dataset, Field, Labels, Options, Split, Texts


class NotesOptions(Options):
    path: Path = Field(description="a JSON file: a list of [text, label]")


class Notes:
    def __init__(self, options):
        self.path = options.path

    def load(self, context):
        try:
            texts, names = zip(*json.loads(self.path.read_text("utf-8")), strict=True)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"'{self.path}' is no list of [text, label]: {error}") from None
        labels = Labels.of(names)
        return Dataset(labels, Split(Texts(texts), labels.encode(names)), source=str(self.path))


def textclf_datasets():
    return [Component(name="notes", summary="notes in JSON", options=NotesOptions, build=Notes)]
