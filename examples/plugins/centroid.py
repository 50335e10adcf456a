"""A trainer: a text gets the label whose mean it is most like."""

import json

from textclf import ArtefactError, Component, Traits


class CentroidModel:
    def __init__(self, centres):
        self.centres = centres  # for each label the mean of its texts' features

    def scores(self, features, context):
        import numpy as np

        likeness = np.exp(8 * (features @ np.transpose(self.centres)) / np.linalg.norm(self.centres, axis=1).clip(1e-9))
        return (likeness / likeness.sum(axis=1, keepdims=True)).astype(np.float32)

    def save(self, folder):
        (folder / "trainer").mkdir(exist_ok=True)
        (folder / "trainer" / "centres.json").write_text(json.dumps(self.centres))


class Centroid:
    def train(self, encoder, train, validation, labels, context):
        chosen = [train.labels == label for label in range(len(labels))]
        return CentroidModel([(rows @ train.features / max(1, rows.sum())).tolist() for rows in chosen])

    def restore(self, folder, encoder, labels):
        centres = json.loads((folder / "trainer" / "centres.json").read_text())
        if len(centres) != len(labels):
            raise ArtefactError(f"{folder} has a model of {len(centres)} labels, not {len(labels)}")
        return CentroidModel(centres)


def textclf_trainers():
    about = {"summary": "the nearest mean of a label", "traits": Traits(reads=frozenset({"matrix"}))}
    return [Component(name="centroid", build=lambda options: Centroid(), **about)]
