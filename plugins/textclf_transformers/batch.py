"""Batches: token ids become padded or packed tensors with special tokens.

A batch is index arithmetic. Each text is a few pieces (a special token, the first ids that are read, the last ones) and
each piece a stretch of the split's ids. The host computes the pieces, a few numbers for each text; the device that
holds the ids computes the tokens. On a GPU the ids of a whole split are copied once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from textclf_torch.runtime import Truncate, kept_ends, longest_first, moved
from torch.nn import functional

from textclf import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray


CPU = torch.device("cpu")
CACHED = 4  # splits: training, validation, test, and one that is scored beside them
SHARE = 0.1  # of the device's free memory, at most, for the ids of one split
FILLED = 16  # packed rows on the CPU are filled to a multiple of it


@dataclass(frozen=True, slots=True)
class HostIds:
    """The ids of a split, in memory or in a mapped file, and behind them the special tokens of its template."""

    ids: NDArray[Any]
    specials: NDArray[np.int64]

    @property
    def device(self) -> torch.device:
        return CPU

    def take(self, places: torch.Tensor) -> torch.Tensor:
        """Return the ids at these places, int64."""
        wanted = places.numpy()
        found = np.empty(wanted.shape, np.int64)
        own = wanted < len(self.ids)
        found[own] = self.ids[wanted[own]]
        found[~own] = self.specials[wanted[~own] - len(self.ids)]
        return torch.from_numpy(found)


@dataclass(frozen=True, slots=True)
class DeviceIds:
    """The ids of a split and its special tokens on a device, int32."""

    flat: torch.Tensor

    @classmethod
    def of(cls, ids: NDArray[Any], specials: NDArray[np.int64], device: torch.device) -> DeviceIds:
        return cls(torch.from_numpy(np.concatenate([ids, specials], dtype=np.int32, casting="unsafe")).to(device))

    @property
    def device(self) -> torch.device:
        return self.flat.device

    def take(self, places: torch.Tensor) -> torch.Tensor:
        """Return the ids at these places, int64."""
        return self.flat[places].long()


Source = HostIds | DeviceIds


class TokenCache:
    """The splits whose ids are on a GPU: those used last, as far as they fit."""

    def __init__(self) -> None:
        self._cached: OrderedDict[tuple[int, torch.device], tuple[Tokens, Source]] = OrderedDict()

    def source(self, tokens: Tokens, specials: Callable[[], NDArray[np.int64]], device: torch.device) -> Source:
        """Return where to take a split's ids from for a batch on this device."""
        if device.type != "cuda":
            return HostIds(tokens.ids, specials())
        key = (id(tokens), device)
        # The tokens are referenced too, so that no others can get the same id.
        if key not in self._cached:
            self._cached[key] = (tokens, self._copied(tokens, specials(), device))
        self._cached.move_to_end(key)
        while len(self._cached) > CACHED:
            self._cached.popitem(last=False)
        return self._cached[key][1]

    def _copied(self, tokens: Tokens, specials: NDArray[np.int64], device: torch.device) -> Source:
        free, _ = torch.cuda.mem_get_info(device)
        if 4 * len(tokens.ids) > SHARE * free:
            return HostIds(tokens.ids, specials)
        return DeviceIds.of(tokens.ids, specials, device)


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around one text or a pair: those before, between and after, and the type of each place.

    blank: where there are no special tokens, the one that stands for a text without any token.
    """

    specials: tuple[tuple[int, ...], ...]
    special_types: tuple[tuple[int, ...], ...]
    text_types: tuple[int, ...]
    blank: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return sum(map(len, self.specials))

    @property
    def flat(self) -> NDArray[np.int64]:
        """Return all special tokens, in their order, and the blank one."""
        return np.fromiter(chain(*self.specials, self.blank), np.int64)

    @property
    def types(self) -> tuple[int, ...]:
        """Return the type of each piece of a text: of each special token, and of each text's two ends."""
        ends_of = [(kind, kind) for kind in self.text_types]
        return tuple(chain(self.special_types[0], *map(chain, ends_of, self.special_types[1:]), (0,) * len(self.blank)))

    @classmethod
    def of(cls, tokenizer: Any, texts: int) -> Template:
        """Read the template from what the tokenizer makes of one text or of two."""
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
        blank = () if any(specials) else (blank_id(tokenizer),)
        return cls(tuple(map(tuple, specials)), tuple(map(tuple, types)), tuple(text_types), blank)


def blank_id(tokenizer: Any) -> int:
    """Return what stands for a text without any token: the token that begins texts, or another that is no word."""
    known = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    return next((token for token in known if token is not None), 0)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of each text of a batch: starts and sizes int64[texts, pieces], lengths int64[texts]."""

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """The texts of a batch in one row: their borders in it, and the ids, types and positions of its tokens."""

    borders: torch.Tensor
    ids: torch.Tensor
    types: torch.Tensor | None
    positions: torch.Tensor


@dataclass(frozen=True, slots=True)
class Collator:
    """Rows of Tokens to batches. causal: the network reads a text at its last token."""

    single: Template
    pair: Template
    max_length: int
    truncate: Truncate
    pad_id: int
    pad_type: int
    types: bool
    first_position: int = 0
    causal: bool = False

    def template(self, tokens: Tokens) -> Template:
        return self.single if tokens.cuts is None else self.pair

    def lengths(self, tokens: Tokens) -> NDArray[np.int64]:
        """Return how long each text is as the network sees it, int64[n]."""
        template = self.template(tokens)
        size = template.size
        lengths: NDArray[np.int64] = np.minimum(tokens.lengths() + size, max(self.max_length, size))
        return np.maximum(lengths, len(template.blank))

    def padded(
        self, tokens: Tokens, rows: NDArray[np.int64], device: torch.device, source: Source | None = None
    ) -> dict[str, torch.Tensor]:
        """Return a batch padded to its longest text, [rows, longest]; no mask where nothing is padded.

        A causal network always gets one, or it would warn of padding that is none.
        """
        pieces = self._pieces(tokens, rows)
        row = self._row(tokens, pieces, source)
        longest = int(pieces.lengths.max(initial=1))
        column = torch.arange(longest, device=row.ids.device)
        real = column < row.borders.diff()[:, None]
        # One place behind the row holds what pads.
        places = (row.borders[:-1, None] + column).masked_fill(~real, len(row.ids))
        batch = {"input_ids": functional.pad(row.ids, (0, 1), value=self.pad_id)[places]}
        if self.causal or int(pieces.lengths.min(initial=longest)) < longest:
            batch["attention_mask"] = real.long()
        if row.types is not None:
            batch["token_type_ids"] = functional.pad(row.types, (0, 1), value=self.pad_type)[places]
        return {name: moved(values, device) for name, values in batch.items()}

    def packed(
        self, tokens: Tokens, rows: NDArray[np.int64], device: torch.device, source: Source | None = None
    ) -> dict[str, Any]:
        """Return a batch as one row, [1, tokens], whose texts are not padded; positions start over with each text.

        On the CPU the row is filled behind its last text: oneDNN compiles a product again for each number of rows that
        it has not seen, which was measured to take a quarter of a training.
        """
        pieces = self._pieces(tokens, rows)
        row = self._row(tokens, pieces, source)
        behind = (0, -len(row.ids) % FILLED if device.type == "cpu" else 0)
        batch = {
            "input_ids": functional.pad(row.ids, behind, value=self.pad_id)[None],
            "position_ids": functional.pad(row.positions, behind, value=self.first_position)[None],
        }
        if row.types is not None:
            batch["token_type_ids"] = functional.pad(row.types, behind, value=self.pad_type)[None]
        batch["text_borders"] = row.borders.int()
        if self.causal:
            batch["text_lasts"] = last_tokens(row, self.pad_id)
        batch = {name: moved(values, device) for name, values in batch.items()}
        return {**batch, "text_lengths": tuple(pieces.lengths.tolist())}

    def sample(self, lengths: Sequence[int]) -> Tokens:
        """Return tokens of some texts of these lengths, to try a network with."""
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        special = {self.pad_id, *(token for specials in self.single.specials for token in specials)}
        known = np.array([token for token in range(64) if token not in special], np.uint32)
        return Tokens(known[np.arange(offsets[-1]) % len(known)], offsets)

    def seen(self, tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the position in its text of the token at each place of a padded batch, int64[rows, longest], or -1."""
        pieces = self._pieces(tokens, rows)
        found = np.full((len(rows), int(pieces.lengths.max(initial=1))), -1, np.int64)
        for text, (row, starts, sizes) in enumerate(zip(rows, pieces.starts, pieces.sizes, strict=True)):
            places = np.concatenate([np.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)])
            # Special tokens stand behind the ids of all texts.
            found[text, : len(places)] = np.where(places < len(tokens.ids), places - tokens.offsets[row], -1)
        return found

    def _pieces(self, tokens: Tokens, rows: NDArray[np.int64]) -> Pieces:
        """Return which stretches of the split's ids, and of the special tokens behind them, make up each text."""
        template = self.template(tokens)
        texts = self._texts(tokens, rows, max(0, self.max_length - template.size))
        special = iter(range(len(tokens.ids), len(tokens.ids) + template.size))
        columns: list[tuple[Any, Any]] = [(next(special), 1) for _ in template.specials[0]]
        for (start, size, room), after in zip(texts, template.specials[1:], strict=True):
            first, last = kept_ends(size, room, self.truncate)
            columns += [(start, first), (start + size - last, last), *((next(special), 1) for _ in after)]
        if template.blank:
            columns.append((len(tokens.ids) + template.size, tokens.offsets[rows] == tokens.offsets[rows + 1]))
        starts, sizes = (
            np.stack([np.broadcast_to(column, len(rows)) for column in part], axis=1)
            for part in zip(*columns, strict=True)
        )
        return Pieces(starts, sizes, sizes.sum(axis=1))

    def _texts(self, tokens: Tokens, rows: NDArray[np.int64], room: int) -> list[tuple[Any, Any, Any]]:
        """Return start, length and room of the texts of each row: of the one, or of the pair's two."""
        start, end = tokens.offsets[rows], tokens.offsets[rows + 1]
        if tokens.cuts is None:
            return [(start, end - start, room)]
        first = tokens.cuts[rows]
        second = end - start - first
        return [*zip((start, start + first), (first, second), longest_first(first, second, room), strict=True)]

    def _row(self, tokens: Tokens, pieces: Pieces, source: Source | None) -> Row:
        """Gather a row of tokens on the device that holds the ids."""
        template = self.template(tokens)
        source = source or HostIds(tokens.ids, template.flat)
        texts, columns = pieces.starts.shape
        sizes, total = pieces.sizes.ravel(), int(pieces.lengths.sum())
        # Added to a place in the row, it gives the place of its id.
        shifts = pieces.starts.ravel() - np.cumsum(sizes) + sizes
        borders = np.concatenate([[0], np.cumsum(pieces.lengths)])
        numbers = moved(torch.from_numpy(np.concatenate([shifts, sizes, borders])), source.device)
        shift, size, border = torch.split(numbers, [len(shifts), len(sizes), texts + 1])
        place = torch.arange(total, device=source.device)
        piece = torch.repeat_interleave(size, output_size=total)
        begun = border[:-1][piece // columns]
        types = moved(torch.tensor(template.types, dtype=torch.long), source.device)[piece % columns]
        ids, positions = source.take(place + shift[piece]), place - begun + self.first_position
        return Row(border, ids, types if self.types else None, positions)


def last_tokens(row: Row, pad_id: int) -> torch.Tensor:
    """Return the place in a row at which a causal network of transformers reads each text, int64[texts].

    That is its last token that is not the padding token, or its first where all are: a text may end in what pads.
    """
    place = torch.arange(len(row.ids), device=row.ids.device)
    text = torch.repeat_interleave(row.borders.diff(), output_size=len(row.ids))
    real = place.masked_fill(row.ids == pad_id, 0)
    return row.borders[:-1].scatter_reduce(0, text, real, "amax")
