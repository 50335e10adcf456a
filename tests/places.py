"""Reading the place of a fault in messages: " (file.py:12)", which in tests moves with every line above it."""

from __future__ import annotations

import re

_PLACE = re.compile(r" \([\w/]+\.py:\d+\)")


def placeless(words: str) -> str:
    """Return a message without the place that it names."""
    return _PLACE.sub("", words)
