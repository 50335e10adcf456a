"""Owns explanations: what the words of a text contributed, which shows itself in a browser or a notebook."""

from __future__ import annotations

from dataclasses import dataclass

from .contributions import Contributions
from .explanation_page import fragment, page
from .markup import Markup, escaped

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Explanation(Contributions):
    """What each word of a text contributed to the logit of a label: a page of its own, or shown in a notebook."""

    def to_html(self) -> str:
        """Return a page of its own, which needs no network and runs no script."""
        return page([self])

    def _repr_html_(self) -> str:
        return fragment(self)


class Explanations(list[Explanation]):
    """Explanations in the order of their texts: a list that a notebook shows one below the other."""

    def to_html(self) -> str:
        """Return a page of all of them, which needs no network and runs no script."""
        return page(self)

    def _repr_html_(self) -> str:
        rest = len(self) - _SHOWN
        more = f"… and {rest:,} {'explanation' if rest == 1 else 'explanations'} more" if rest > 0 else ""
        return Markup("".join([*map(fragment, self[:_SHOWN]), escaped(more)]))
