"""Deterministic, stratified splits without leaks.

A unit is all rows that are connected by an equal normal form of their texts or by a shared group. A split assigns whole
units, so that no text and no group stands on both sides. Units are ranked by a digest of seed and text: a split depends
on these alone, not on the order of rows, the platform or the version of a library's random generator.
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

    of_row: int64[n], the unit of each row. keys: 16 bytes for each unit, the least of its rows' keys. sizes: int64,
    rows of each unit. row_keys: 16 bytes for the text of each row. repeated: rows whose text stands in an earlier row.
    contradicted: further labels of equal texts, beside the first label of each.
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
    """Return a key for each row; texts of equal normal form have equal keys."""
    second = split.texts.second
    if second is None:
        return [normal_key(text) for text in split.texts.first]
    return [normal_key(a, b) for a, b in zip(split.texts.first, second, strict=True)]


def find_units(split: Split, *, by_group: bool = True) -> Units:
    """Join the rows of equal texts, and with `by_group` those of equal groups, into units."""
    import numpy as np

    keys = text_keys(split)
    groups = split.groups if by_group else None
    # Union-find: rows that are connected through any chain of equal texts and groups get one root.
    parent = list(range(len(keys)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]  # halves the path, so that all searches together stay almost linear
            row = parent[row]
        return row

    first_seen: dict[bytes | str, int] = {}
    for row, key in enumerate(keys):
        for name in (key,) if groups is None else (key, groups[row]):
            other = root(first_seen.setdefault(name, row))
            parent[root(row)] = other
    roots, of_row = np.unique([root(row) for row in range(len(keys))], return_inverse=True)
    # The least key of a unit's rows, and not that of its first row: the order of rows must not matter.
    unit_keys = [b"\xff" * 17] * len(roots)
    for row, unit in enumerate(of_row):
        unit_keys[unit] = min(unit_keys[unit], keys[row])
    distinct = len(set(keys))
    contradicted = len({(key, label.tobytes()) for key, label in zip(keys, split.labels, strict=True)}) - distinct
    sizes = np.bincount(of_row, minlength=len(roots))
    return Units(of_row.astype(np.int64), unit_keys, sizes, keys, len(keys) - distinct, contradicted)


def strata(split: Split, labels: Labels, units: Units) -> NDArray[np.int64]:
    """Return the stratum of each unit, int64[units]: the commonest label of its rows.

    A multi-label row counts as its rarest label: the rare labels are those that a split misses first (in the sense of
    Sechidis et al. 2011, who also place rare labels first). Rows without any label are a stratum of their own.
    """
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
    """Return the units in the order in which they are drawn; purpose: such as "test", an order for each."""
    import numpy as np

    # The digest of a unit does not depend on the other units: with a row more or less, the others keep their order.
    salt = f"{seed}:{purpose}:".encode()
    drawn = [hashlib.blake2b(salt + key, digest_size=8).digest() for key in units.keys]
    return np.array(sorted(range(len(drawn)), key=lambda u: (drawn[u], units.keys[u])), np.int64)


def draw(
    units: Units, stratum: NDArray[np.int64], available: NDArray[np.bool_], rows: int, seed: int, purpose: str
) -> NDArray[np.bool_]:
    """Choose about `rows` rows from the available units, each stratum in its proportion; return bool[units].

    Every stratum keeps at least one unit that is not chosen, so that no label is missing from what is left to train on.
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
            # A large group is chosen only where that brings the count nearer to the quota.
            if abs(missing - units.sizes[unit]) < abs(missing):
                chosen[unit] = True
                missing -= units.sizes[unit]
            if missing <= 0:
                break
        if len(members) and chosen[members].all():
            chosen[members[0]] = False
    return chosen


def deal(units: Units, stratum: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each unit, int64[units]: each goes to the fold with the fewest rows of its stratum so far.

    Where folds have equally many rows of the stratum, the fold with the fewest rows of all gets the unit.
    """
    import numpy as np

    fold_of = np.zeros(len(units), np.int64)
    total = np.zeros(folds, np.int64)
    ranked = ranks(units, seed, "folds")
    for name in np.unique(stratum):
        held = np.zeros(folds, np.int64)
        for unit in ranked[stratum[ranked] == name]:
            fold = int(np.lexsort((total, held))[0])  # by `held` first: lexsort's last key is its primary one
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
    """Divide `rows` among strata in proportion to their sizes, in whole numbers that add up to `rows`.

    This is the largest remainder method (Hare quota); ties go to the stratum with the lower number.
    """
    import numpy as np

    share = sizes * (rows / max(1.0, sizes.sum()))
    quotas = np.floor(share).astype(np.int64)
    rest = int(rows - quotas.sum())
    nearest = np.argsort(quotas - share, kind="stable")[: max(0, rest)]
    quotas[nearest] += 1
    whole: NDArray[np.int64] = quotas
    return whole
