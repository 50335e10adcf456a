"""A small plugin with a token encoder that needs PyTorch alone: letters are tokens, and a tiny network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textclf import ArtefactError, Component, Field, Labels, Layout, Options, Split, Texts, Tokens, Traits

BOTH = frozenset({"single-label", "multi-label"})


class LettersOptions(Options):
    """The options of `letters`."""

    dropout: float = Field(0.1, ge=0, lt=1, description="dropout between the two layers")
    fails: bool = Field(False, description="fail where the network is read from a folder")


class Letters:
    """A TokenEncoder whose tokens are code points below 128."""

    layouts: tuple[Layout, ...] = ("padded",)

    def __init__(self, options: LettersOptions) -> None:
        self._options = options

    def fit(self, train: Split, context: Any) -> None:
        """Nothing is learnt."""

    def encode(self, texts: Texts, context: Any) -> Tokens:
        import numpy as np

        rows = [[ord(letter) % 127 + 1 for letter in text] for text in texts.first]
        ids = np.array([i for row in rows for i in row], np.uint16)
        return Tokens(ids, np.cumsum([0, *map(len, rows)]).astype(np.int64))

    def fingerprint(self) -> str:
        return "letters 1"

    def save(self, folder: Path) -> None:
        """The options are all there is."""

    def lengths(self, tokens: Tokens) -> Any:
        return tokens.lengths()

    def build_network(self, labels: Labels) -> Any:
        import torch

        class Mean(torch.nn.Module):
            def __init__(self, dropout: float) -> None:
                super().__init__()
                self.table = torch.nn.Embedding(128, 16, padding_idx=0)
                self.inner = torch.nn.Linear(16, 32)
                self.unused = torch.nn.Linear(3, 3)
                self.dropout = torch.nn.Dropout(dropout)
                self.head = torch.nn.Linear(32, len(labels))

            def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
                mean = self.table(ids).sum(1) / (ids > 0).sum(1, keepdim=True).clamp(min=1)
                logits: torch.Tensor = self.head(self.dropout(torch.tanh(self.inner(mean))))
                return logits

        return Mean(self._options.dropout)

    def collate(self, tokens: Tokens, rows: Any, layout: Layout, device: Any) -> dict[str, Any]:
        import numpy as np
        import torch

        ids = np.zeros((len(rows), max(len(tokens.row(row)) for row in rows)), np.int64)
        for place, row in zip(ids, rows, strict=True):
            place[: len(tokens.row(row))] = tokens.row(row)
        known = torch.from_numpy(ids).to(device)
        return {"ids": known, "attention_mask": (known > 0).long()}

    def layers(self, network: Any) -> list[list[Any]]:
        inner = [*network.inner.parameters(), *network.unused.parameters()]
        return [list(network.table.parameters()), inner, list(network.head.parameters())]

    def save_network(self, network: Any, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: tensor.cpu().clone() for name, tensor in network.state_dict().items()}, folder / "letters")

    def load_network(self, folder: Path, labels: Labels) -> Any:
        from safetensors.torch import load_file

        if self._options.fails:
            raise RuntimeError("letters cannot be read here")
        network, saved = self.build_network(labels), load_file(folder / "letters")
        if len(saved["head.bias"]) != len(labels):
            raise ArtefactError(f"'{folder / 'letters'}' has a head for other labels")
        network.load_state_dict(saved)
        return network


def textclf_encoders() -> list[Component[Letters, LettersOptions]]:
    traits = Traits(makes="tokens", tasks=BOTH)
    return [
        Component(
            name="letters", summary="letters are tokens", build=Letters, options=LettersOptions, traits=traits,
            needs=("torch",), install="torch>=2.10",
        )
    ]  # fmt: skip


def install(folder: Path) -> None:
    """Write what makes this module an installed plugin for whoever has `folder` on its path."""
    place = folder / "letters-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: letters\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text(f"[textclf]\nletters = {__name__}\n")
