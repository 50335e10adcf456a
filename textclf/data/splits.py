"""Owns splitting: deterministic, stratified, and leak-free, since what must stay together is one unit.

A unit is all rows that are joined by an equal normal form or by a shared group. Units are ranked by a keyed digest of
their texts, so a split depends on the seed and the texts alone: not on row order, platform or library versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cleaning import normal_key
from .dataset import Labels, Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Units:
    """Which rows belong together.

    of_row: int64[n], the unit of each row. keys: each unit's own 16 bytes. row_keys: those of each row's text.
    repeated: rows whose text stands earlier. contradicted: further labels that texts carry beside their first.
    """

    of_row: NDArray[np.int64]
    keys: Sequence[bytes]
    sizes: NDArray[np.int64]
    row_keys: Sequence[bytes]
    repeated: int
    contradicted: int

    def __len__(self) -> int:
        return len(self.keys)


def text_keys(split: Split) -> list[bytes]:
    """Return for each row the key that texts of equal normal form share."""
    second = split.texts.second
    if second is None:
        return [normal_key(text) for text in split.texts.first]
    return [normal_key(a, b) for a, b in zip(split.texts.first, second, strict=True)]


def find_units(split: Split, *, by_group: bool = True) -> Units:
    """Join the rows of equal texts, and of equal groups, into units."""
    import numpy as np

    keys = text_keys(split)
    groups = split.groups if by_group else None
    parent = list(range(len(keys)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first_seen: dict[bytes | str, int] = {}
    for row, key in enumerate(keys):
        for name in (key,) if groups is None else (key, groups[row]):
            other = root(first_seen.setdefault(name, row))
            parent[root(row)] = other
    roots, of_row = np.unique([root(row) for row in range(len(keys))], return_inverse=True)
    unit_keys = [b"\xff" * 17] * len(roots)
    for row, unit in enumerate(of_row):
        unit_keys[unit] = min(unit_keys[unit], keys[row])
    distinct = len(set(keys))
    contradicted = len({(key, label.tobytes()) for key, label in zip(keys, split.labels, strict=True)}) - distinct
    sizes = np.bincount(of_row, minlength=len(roots))
    return Units(of_row.astype(np.int64), unit_keys, sizes, keys, len(keys) - distinct, contradicted)


def strata(split: Split, labels: Labels, units: Units) -> NDArray[np.int64]:
    """Return the stratum of each unit: its commonest label; for multi-label rows, the rarest label they carry."""
    import numpy as np

    if labels.task == "multi-label":
        frequency = split.labels.sum(axis=0)
        rarest_first = np.argsort(frequency, kind="stable")
        ranked = split.labels[:, rarest_first]
        row_stratum = np.where(ranked.any(axis=1), rarest_first[ranked.argmax(axis=1)], len(labels))
    else:
        row_stratum = split.labels
    votes = np.zeros((len(units), len(labels) + 1), np.int64)
    np.add.at(votes, (units.of_row, row_stratum), 1)
    commonest: NDArray[np.int64] = votes.argmax(axis=1)
    return commonest


def ranks(units: Units, seed: int, purpose: str) -> NDArray[np.int64]:
    """Return the units in the order in which they are drawn for a purpose."""
    import numpy as np

    salt = f"{seed}:{purpose}:".encode()
    drawn = [hashlib.blake2b(salt + key, digest_size=8).digest() for key in units.keys]
    return np.array(sorted(range(len(drawn)), key=lambda u: (drawn[u], units.keys[u])), np.int64)


def draw(
    units: Units, stratum: NDArray[np.int64], available: NDArray[np.bool_], rows: int, seed: int, purpose: str
) -> NDArray[np.bool_]:
    """Choose units of about `rows` rows in all from the available ones, each stratum in its proportion.

    Every stratum keeps at least one unit that is not chosen. Returns bool[units].
    """
    import numpy as np

    chosen = np.zeros(len(units), np.bool_)
    sizes = np.bincount(stratum[available], weights=units.sizes[available]).astype(np.float64)
    quotas = _largest_remainders(sizes, rows)
    ranked = ranks(units, seed, purpose)
    ranked = ranked[available[ranked]]
    for name in np.flatnonzero(sizes):
        members = ranked[stratum[ranked] == name]
        missing = quotas[name]
        for unit in members:
            # A large group is taken only where it brings the count nearer to the quota.
            if abs(missing - units.sizes[unit]) < abs(missing):
                chosen[unit] = True
                missing -= units.sizes[unit]
            if missing <= 0:
                break
        if len(members) and chosen[members].all():
            chosen[members[0]] = False
    return chosen


def deal(units: Units, stratum: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each unit: each stratum is dealt out, always to the fold that has fewest rows."""
    import numpy as np

    fold_of = np.zeros(len(units), np.int64)
    total = np.zeros(folds, np.int64)
    ranked = ranks(units, seed, "folds")
    for name in np.unique(stratum):
        held = np.zeros(folds, np.int64)
        for unit in ranked[stratum[ranked] == name]:
            fold = int(np.lexsort((total, held))[0])
            fold_of[unit] = fold
            held[fold] += units.sizes[unit]
            total[fold] += units.sizes[unit]
    return fold_of


def shared_rows(one: Split, other: Split) -> tuple[int, int]:
    """Count the rows of `other` whose text, and whose group, also stands in `one`."""
    known = set(text_keys(one))
    texts = sum(key in known for key in text_keys(other))
    if one.groups is None or other.groups is None:
        return texts, 0
    names = set(one.groups)
    return texts, sum(group in names for group in other.groups)


def _largest_remainders(sizes: NDArray[np.float64], rows: int) -> NDArray[np.int64]:
    """Divide `rows` among strata in proportion to their sizes, in whole numbers of that very sum."""
    import numpy as np

    share = sizes * (rows / max(1.0, sizes.sum()))
    quotas = np.floor(share).astype(np.int64)
    rest = int(rows - quotas.sum())
    nearest = np.argsort(quotas - share, kind="stable")[: max(0, rest)]
    quotas[nearest] += 1
    whole: NDArray[np.int64] = quotas
    return whole
