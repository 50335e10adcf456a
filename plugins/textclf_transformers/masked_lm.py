"""Masked-language-model adaptation, before the labels are learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from textclf_torch.runtime import moved
from torch.nn import functional

from textclf import ArtefactError, Context, Layout, Tokens

from .batch import Collator
from .network import quiet_transformers, read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .options import AdaptOptions


# Of hidden tokens eight in ten become the mask and one in ten a random token; the last one stays: Devlin et al. 2019.
MASKED, SWAPPED = 0.8, 0.1
# How a vocabulary marks the tokens inside of words, or those that begin one.
_INSIDE, _BEGINS = "##", ("Ġ", "▁")


@dataclass(frozen=True, slots=True)
class Masking:
    """The rule by which tokens are hidden.

    share: of the tokens that may be hidden, which are all but special ones. mask: what stands in place of a hidden one.
    others: what else may. special, inside: bool[vocabulary]; inside marks the tokens that continue a word, which is
    hidden as a whole, and is None where tokens are hidden one by one.
    """

    share: float
    mask: int
    others: NDArray[np.int64]
    special: NDArray[np.bool_]
    inside: NDArray[np.bool_] | None

    @classmethod
    def of(cls, tokenizer: Any, share: float, *, whole_words: bool, checkpoint: str) -> Masking:
        """Return the rule for a tokenizer; an ArtefactError where it has no mask token, or does not mark words."""
        if tokenizer.mask_token_id is None:
            raise ArtefactError(
                f"the tokenizer of '{checkpoint}' has no mask token, so no words can be hidden from its network; "
                "remove encoder.adapt"
            )
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        special = np.zeros(len(tokens), np.bool_)
        special[tokenizer.all_special_ids] = True
        inside = _inside(tokens, checkpoint) if whole_words else None
        return cls(share, tokenizer.mask_token_id, np.flatnonzero(~special), special, inside)

    def draw(
        self, ids: NDArray[np.int64], begins: NDArray[np.bool_], seed: tuple[int, ...]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which of a text's tokens are hidden, bool[n], and the ids that the network sees, int64[n].

        begins: where a word begins whatever its token says, since the token before is of another text or was truncated.
        How many are hidden is the share of all, rounded up or down at random such that the mean is the share itself.
        """
        random = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
        unit, count = self._units(ids, begins)
        many = int(self.share * count + random.random())
        chosen = np.zeros(count + 1, np.bool_)
        chosen[random.permutation(count)[:many]] = True
        hidden: NDArray[np.bool_] = chosen[unit]
        fate, seen = random.random(len(ids)), ids.astype(np.int64)
        seen[hidden & (fate < MASKED)] = self.mask
        swapped = hidden & (fate >= MASKED) & (fate < MASKED + SWAPPED)
        seen[swapped] = self.others[random.integers(len(self.others), size=int(swapped.sum()))]
        return hidden, seen

    def _units(self, ids: NDArray[np.int64], begins: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
        """Return to which unit, a token or a word, each token belongs, int64[n] (-1: none), and how many there are."""
        free = ~self.special[ids]
        first = free if self.inside is None else free & (begins | ~self.inside[ids] | ~_before(free))
        unit = np.cumsum(first) - 1
        return np.where(free, unit, -1), int(first.sum())


def _before(free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of each token whether the one before it may be hidden: a word does not continue behind one that may not."""
    return np.concatenate([[False], free[:-1]])


def _inside(tokens: list[str], checkpoint: str) -> NDArray[np.bool_]:
    if any(token.startswith(_INSIDE) for token in tokens):
        return np.array([token.startswith(_INSIDE) for token in tokens])
    for mark in _BEGINS:
        if any(token.startswith(mark) for token in tokens):
            return np.array([not token.startswith(mark) for token in tokens])
    raise ArtefactError(
        f"the tokenizer of '{checkpoint}' does not mark where words begin; set encoder.adapt.whole_words to false"
    )


# The parts of the heads for masked words, in the order in which a body's states pass through them.
_HEADS = (
    ("cls",),
    ("lm_head",),
    ("predictions",),
    ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
    ("generator_predictions", "generator_lm_head"),
    ("head", "decoder"),
)


class MaskedWords:
    """An Objective: to predict the tokens that are hidden in a text (Devlin et al. 2019), drawn again in each epoch.

    folder: the checkpoint, whose own head for masked words is trained further; without one, the run warns.
    """

    name = "masked-lm"

    def __init__(
        self,
        options: AdaptOptions,
        tokens: Tokens,
        collator: Collator,
        masking: Masking,
        folder: Path | None,
        context: Context | None,
    ) -> None:
        self.epochs: float = options.epochs
        self.learning_rate: float = options.learning_rate
        self.head_learning_rate: float = options.head_learning_rate or options.learning_rate
        self.batch_size: int = options.batch_size
        self.tokens = tokens
        self._collator, self._masking, self._folder, self._context = collator, masking, folder, context

    def build_network(self, network: torch.nn.Module) -> torch.nn.Module:
        head, brought = masked_head(network, self._folder)
        if self._context and not brought and self.head_learning_rate == self.learning_rate:
            self._context.warn(
                f"the weights in '{self._folder}' have no head for masked words: a new one must be learned first, "
                "faster than the rest, or adapting may do harm; set encoder.adapt.head_learning_rate to 1e-3, and "
                "compare with a run without encoder.adapt"
            )
        return MaskedNetwork(network.base_model, head)  # type: ignore[arg-type]

    def counts(self, rows: NDArray[np.int64], draw: tuple[int, ...]) -> NDArray[np.int64]:
        seen = self._collator.seen(self.tokens, rows)
        return np.array([hidden.sum() for _, hidden, _ in self._drawn(rows, seen, draw)], np.int64)

    def collate(
        self, rows: NDArray[np.int64], draw: tuple[int, ...], layout: Layout, device: torch.device
    ) -> dict[str, Any]:
        seen = self._collator.seen(self.tokens, rows)
        lengths = self._collator.lengths(self.tokens)[rows]
        widths = lengths if layout == "packed" else np.full(len(rows), seen.shape[1])
        firsts = np.cumsum(widths) - widths
        batch = self.tokens.take(rows)
        shown = batch.ids.astype(np.uint32)
        targets, places, owners = [], [], []
        for text, (position, hidden, ids) in enumerate(self._drawn(rows, seen, draw)):
            targets.append(shown[batch.offsets[text] + position[hidden]].astype(np.int64))
            places.append(firsts[text] + np.flatnonzero(seen[text] >= 0)[hidden])
            owners.append(np.full(int(hidden.sum()), text))
            shown[batch.offsets[text] + position] = ids
        make = self._collator.packed if layout == "packed" else self._collator.padded
        inputs = make(Tokens(shown, batch.offsets, batch.cuts), np.arange(len(rows)), device)
        lists = {"targets": targets, "places": places, "owners": owners}
        arrays = {name: moved(np.concatenate(parts), device) for name, parts in lists.items()}
        return {**inputs, **arrays, "texts": len(rows)}

    def _drawn(
        self, rows: NDArray[np.int64], seen: NDArray[np.int64], draw: tuple[int, ...]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]]:
        """Return for each text the positions that the network sees of it, which are hidden, and the ids shown there."""
        found = []
        for row, places in zip(rows, seen, strict=True):
            position = places[places >= 0]
            ids = self.tokens.row(int(row))[position].astype(np.int64)
            begins = np.diff(position, prepend=-2) != 1
            if self.tokens.cuts is not None:
                begins |= position == self.tokens.cuts[row]
            found.append((position, *self._masking.draw(ids, begins, (*draw, int(row)))))
        return found


class MaskedNetwork(torch.nn.Module):
    """A body with a head for masked words, which reads the hidden places alone."""

    def __init__(self, body: torch.nn.Module, head: torch.nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(
        self, targets: torch.Tensor, places: torch.Tensor, owners: torch.Tensor, texts: int, **inputs: Any
    ) -> torch.Tensor:
        """Return the summed loss of each text's hidden tokens, float32[texts]."""
        whole = {"every_token": True} if "text_borders" in inputs else {}
        states = self.body(**inputs, **whole).last_hidden_state.flatten(0, 1)
        logits = self.head(states.index_select(0, places)).float()
        each = functional.cross_entropy(logits, targets, reduction="none")
        return torch.zeros(texts, device=each.device).index_add(0, owners, each)


def masked_head(network: Any, folder: Path | None) -> tuple[torch.nn.Module, bool]:
    """Return a head for masked words over a network's body, and whether the checkpoint's folder brought its weights.

    Its output is tied to the body's embeddings where the library ties them. Weights that the folder does not have are
    drawn.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING as KINDS

    config = network.config
    if type(config) not in KINDS:
        raise ArtefactError(
            f"transformers has no masked language model for '{config.model_type}'; remove encoder.adapt"
        )
    kind: Any = KINDS[type(config)]
    with quiet_transformers():
        model = kind(config)
    names = next((names for names in _HEADS if all(hasattr(model, name) for name in names)), None)
    if names is None:
        raise ArtefactError(
            f"encoder.adapt does not know the parts of the masked language model for '{config.model_type}'; remove it"
        )
    setattr(model, network.base_model_prefix, network.base_model)
    own = model.state_dict()
    found = {
        name: tensor
        for name, tensor in (read_weights(folder) if folder else {}).items()
        if name.partition(".")[0] in names and name in own and own[name].shape == tensor.shape
    }
    with torch.no_grad():
        for name, tensor in found.items():
            own[name].copy_(tensor)
    model.tie_weights()
    parts = [getattr(model, name) for name in names]
    return parts[0] if len(parts) == 1 else torch.nn.Sequential(*parts), bool(found)
