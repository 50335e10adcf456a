"""Owns how Tokens become what a network reads: truncation, the tokenizer's special tokens, padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from textclf import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

Truncate = Literal["head", "tail", "head_tail"]
HEAD = 128  # Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?": the first 128 tokens and the last


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around one text or a pair: those before, between and after, and the type of each place."""

    specials: tuple[tuple[int, ...], ...]
    special_types: tuple[tuple[int, ...], ...]
    text_types: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(map(len, self.specials))

    @classmethod
    def of(cls, tokenizer: Any, texts: int) -> Template:
        """Read the template off the tokenizer's own way with one text or with two."""
        sample = ("a",) * texts
        encoding = tokenizer.backend_tokenizer.encode(*sample)
        specials: list[list[int]] = [[] for _ in range(texts + 1)]
        types: list[list[int]] = [[] for _ in range(texts + 1)]
        text_types, seen = [0] * texts, 0
        for token, kind, text in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
            if text is None:
                specials[seen].append(token)
                types[seen].append(kind)
            else:
                text_types[text], seen = kind, text + 1
        return cls(tuple(map(tuple, specials)), tuple(map(tuple, types)), tuple(text_types))


@dataclass(frozen=True, slots=True)
class Collator:
    """What turns rows of Tokens into a padded batch."""

    single: Template
    pair: Template
    max_length: int
    truncate: Truncate
    pad_id: int
    pad_type: int
    types: bool
    first_position: int = 0

    def template(self, tokens: Tokens) -> Template:
        return self.single if tokens.cuts is None else self.pair

    def lengths(self, tokens: Tokens) -> NDArray[np.int64]:
        """Return how long each text is as the network sees it, int64[n]."""
        size = self.template(tokens).size
        lengths: NDArray[np.int64] = np.minimum(tokens.lengths() + size, max(self.max_length, size))
        return lengths

    def padded(self, tokens: Tokens, rows: NDArray[np.int64], device: torch.device) -> dict[str, torch.Tensor]:
        """Return a batch padded to its longest text, [rows, longest]; no mask where nothing is padded."""
        template = self.template(tokens)
        parts = [self._parts(tokens, int(row), template) for row in rows]
        lengths = np.array([sum(map(len, texts)) + template.size for texts in parts], np.int64)
        shape = (len(rows), int(lengths.max(initial=1)))
        ids = np.full(shape, self.pad_id, np.int64)
        kinds = np.full(shape, self.pad_type, np.int64) if self.types else None
        for i, texts in enumerate(parts):
            ids[i, : lengths[i]] = np.concatenate(_interleave(template.specials, texts))
            if kinds is not None:
                spread = [np.full(len(t), kind) for t, kind in zip(texts, template.text_types, strict=True)]
                kinds[i, : lengths[i]] = np.concatenate(_interleave(template.special_types, spread))
        batch = {"input_ids": ids}
        if int(lengths.min(initial=shape[1])) < shape[1]:
            batch["attention_mask"] = (np.arange(shape[1]) < lengths[:, None]).astype(np.int64)
        if kinds is not None:
            batch["token_type_ids"] = kinds
        return {name: torch.from_numpy(values).to(device, non_blocking=True) for name, values in batch.items()}

    def packed(self, tokens: Tokens, rows: NDArray[np.int64], device: torch.device) -> dict[str, Any]:
        """Return a batch as one row without padding, [1, tokens]; positions begin anew with each text."""
        template = self.template(tokens)
        ids, kinds, lengths = [], [], []
        for row in rows:
            texts = self._parts(tokens, int(row), template)
            ids += _interleave(template.specials, texts)
            lengths.append(sum(map(len, texts)) + template.size)
            spread = [np.full(len(t), kind) for t, kind in zip(texts, template.text_types, strict=True)]
            kinds += _interleave(template.special_types, spread) if self.types else []
        positions = [np.arange(self.first_position, self.first_position + length) for length in lengths]
        batch = {"input_ids": np.concatenate(ids), "position_ids": np.concatenate(positions)}
        if self.types:
            batch["token_type_ids"] = np.concatenate(kinds)
        row_of = {name: torch.from_numpy(values)[None].to(device, non_blocking=True) for name, values in batch.items()}
        borders = torch.from_numpy(np.cumsum([0, *lengths], dtype=np.int32)).to(device, non_blocking=True)
        return {**row_of, "text_lengths": tuple(lengths), "text_borders": borders}

    def sample(self, lengths: Sequence[int]) -> Tokens:
        """Return tokens of some texts of these lengths, to try a network with."""
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        outside = {self.pad_id, *(token for specials in self.single.specials for token in specials)}
        known = np.array([token for token in range(64) if token not in outside], np.uint32)
        return Tokens(known[np.arange(offsets[-1]) % len(known)], offsets)

    def _parts(self, tokens: Tokens, row: int, template: Template) -> list[NDArray[Any]]:
        ids = tokens.row(row)
        room = max(0, self.max_length - template.size)
        if tokens.cuts is None:
            return [truncated(ids, room, self.truncate)]
        first, second = ids[: tokens.cuts[row]], ids[tokens.cuts[row] :]
        rooms = longest_first(len(first), len(second), room)
        return [truncated(part, r, self.truncate) for part, r in zip((first, second), rooms, strict=True)]


def truncated(ids: NDArray[Any], room: int, truncate: Truncate) -> NDArray[Any]:
    """Return at most `room` ids: the first, the last, or the 128 first (at most half) and the last."""
    if len(ids) <= room:
        return ids
    head = {"head": room, "tail": 0, "head_tail": min(HEAD, room // 2)}[truncate]
    return np.concatenate([ids[:head], ids[len(ids) - (room - head) :]])


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the lengths to which a pair is cut, exactly as the tokenizers library does: the longer one first."""
    if first + second <= room:
        return first, second
    short = min(first, second)
    long = max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (short, long) if first <= second else (long, short)


def _interleave(around: Sequence[Sequence[int]], texts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    pieces: list[NDArray[Any]] = [np.asarray(around[0], np.int64)]
    for text, after in zip(texts, around[1:], strict=True):
        pieces += [text, np.asarray(after, np.int64)]
    return pieces
