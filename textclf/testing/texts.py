"""Owns the texts that every encoder must live with: empty, very long, and hostile ones."""

from __future__ import annotations

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
