"""Token encoders that break one clause each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.plugins.letters import Letters, textclf_encoders
from textclf import ArtefactError, Labels, Tokens

from .making import Culprit

(LETTERS,) = textclf_encoders()


def letters(made: type[Letters], **changes: Any) -> Culprit:
    return Culprit("encoder", replace(LETTERS, build=made, **changes))


class Squared(Letters):
    layouts = ("square",)  # type: ignore[assignment]


class Boasting(Letters):
    def lengths(self, tokens: Any) -> Any:
        return super().lengths(tokens) + 1


class Wide(Letters):
    def build_network(self, labels: Any) -> Any:
        return super().build_network(Labels((*labels.names, "one more"), labels.task))


class Padded(Letters):
    """Lets the network read what only fills a batch up."""

    def collate(self, *given: Any) -> Any:
        batch = super().collate(*given)
        batch["ids"][batch["ids"] == 0] = 1
        return batch


class Turning(Letters):
    layouts = ("packed", "padded")

    def collate(self, tokens: Any, rows: Any, layout: Any, device: Any) -> Any:
        return super().collate(tokens, rows[::-1] if layout == "packed" else rows, layout, device)


class Headless(Letters):
    def layers(self, network: Any) -> Any:
        return super().layers(network)[:-1]


class Fresh(Letters):
    def load_network(self, folder: Any, labels: Any) -> Any:
        super().load_network(folder, labels)
        return self.build_network(labels)


class Shifted(Letters):
    def encode(self, texts: Any, context: Any) -> Any:
        tokens = super().encode(texts, context)
        return Tokens(tokens.ids // 2, tokens.offsets)


class Pickling(Letters):
    def save_network(self, network: Any, folder: Any) -> None:
        import torch

        super().save_network(network, folder)
        torch.save(network.state_dict(), folder / "pytorch_model.bin")


class Filling(Letters):
    """Draws a head where the saved one is for other labels."""

    def load_network(self, folder: Any, labels: Any) -> Any:
        try:
            return super().load_network(folder, labels)
        except ArtefactError:
            return self.build_network(labels)


TOKENS: dict[str, Culprit] = {
    "tokens.contract": letters(Squared),
    "tokens.lengths": letters(Boasting),
    "tokens.logits": letters(Wide),
    "tokens.padding": letters(Padded),
    "tokens.layouts": letters(Turning),
    "tokens.layers": letters(Headless),
    "tokens.restore": letters(Fresh),
    "tokens.encoder": letters(Letters, restore=lambda options, folder: Shifted(options)),
    "tokens.pickle": letters(Pickling),
    "tokens.labels": letters(Filling),
}
