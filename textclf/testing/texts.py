"""Owns the texts that every encoder must live with: as people write them, and empty, very long and hostile ones."""

from __future__ import annotations

ORDINARY: tuple[str, ...] = (
    "GREAT film!!! Loved it :)",
    "Not good... 2/10, would NOT buy again",
    "I do not like it, not at all: never, no, nothing.",
    "\"Fine,\" she said; 'it's fine'.",
    "See https://example.org/a?b=c&d=1 or mail me@example.org",
    "It cost $1,299.99 (-15 %) on 2024-02-29 at 23:59",
    "first line\nsecond line\n\n\tindented",
    "<p>so <br /> and &amp; so</p>",
    "ok",
    "Straße, naïve café, 12 º, ½ liter",
    "so so so so so so so so so so so so",
    "A man walks into a bar. He sits down. He orders nothing, pays for nothing, and leaves after an hour of silence.",
)
"""Signs, capitals, numbers and lengths that the stand-in dataset does not have."""

HOSTILE: tuple[str, ...] = (
    "",
    " ",
    "\t\r\n",
    "NA",
    "null",
    "NaN",
    "None",
    "-1",
    "a",
    "\x00",
    "before\x00after",
    "\ufeffmarked",
    "\u200b\u200d\u2060",
    "\u202eright to left\u202c",
    "مرحبا بالعالم",
    "漢字かな交じり文",
    "e\u0301 is not é",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "\ufffd\uffff",
    "[CLS] [SEP] [MASK] [PAD] <s> </s> <|endoftext|>",
    "</script><img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "[red]bold[/red] \x1b[31mred\x1b[0m",
    "'; DROP TABLE reviews; --",
    "../../etc/passwd",
    "word" * 2_000,
    "many words " * 20_000,
)
"""Each is a str without lone surrogates: those the core replaces before an encoder sees them."""
