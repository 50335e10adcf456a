"""An output: the texts that were got wrong, as JSON."""

import json

from textclf import Component


class Mistakes:
    def write(self, finished, folder):
        found = finished.predictions
        wrong = [found.texts.first[row] for row in range(len(found)) if found.truth[row] != found.predicted[row]]
        (folder / "mistakes.json").write_text(json.dumps(wrong, indent=1), "utf-8")


def textclf_outputs():
    return [Component(name="mistakes", summary="the wrong texts as JSON", build=lambda options: Mistakes())]
