"""Owns the clause of the words by which encoders and trainers find each other: the layouts of their traits."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import closest
from ...plugin.component import LAYOUTS, Kind, Traits
from ...plugin.discovery import discover
from ...plugin.registry import Offer
from ...plugin.step import default_traits
from ..clauses import Broken, Check, Clause, NotApplicable
from .module import PluginModule

_PARTNERS: dict[Kind, Kind] = {"encoder": "trainer", "trainer": "encoder"}
# Of a slip of a letter; a word of a plugin's own may well be like a known one, as "token_ids" is.
_NEARNESS = 0.82


def _layouts_are_spelt(plugin: PluginModule) -> None:
    own = discover([plugin.module], entry_points=False).offers
    mine = [(offer, _words(default_traits(offer))) for offer in own if offer.kind in _PARTNERS]
    if not mine:
        raise NotApplicable("it offers no encoder and no trainer")
    for offer, words in mine:
        partner = _PARTNERS[offer.kind]
        known = {*LAYOUTS, *_words_of(partner, (*own, *plugin.others))}
        for word in sorted(words - known):
            near = closest(word, sorted(known), nearness=_NEARNESS)
            if near:
                alone = f"no {partner} is known that {'reads' if partner == 'trainer' else 'makes'} '{word}'"
                name = f"{offer.kind} '{offer.component.name}'"
                raise Broken(f"{alone}; in the traits of {name}, is '{word}' meant to be '{near}'?")


def _words_of(kind: Kind, offers: Iterable[Offer]) -> set[str]:
    return {word for offer in offers if offer.kind == kind for word in _words(default_traits(offer))}


def _words(traits: Traits | None) -> set[str]:
    """Return the layouts that traits make or read; none where nobody can tell."""
    return set() if traits is None else {*traits.reads, *([traits.makes] if traits.makes else [])}


SPELT: tuple[Check[PluginModule], ...] = (
    Check(
        Clause("plugin.layouts", "no layout in its traits is a misspelt one", "no other step would fit"),
        _layouts_are_spelt,
        after=("plugin.loads",),
    ),
)
