"""Hostile strings: what breaks programs that take texts for granted."""

from __future__ import annotations

HOSTILE = (
    "NA", "null", "None", "nan", "NaN", "", " ", "-1", "01", "true", "1e5",
    "nul\x00byte", "bell\x07 and escape \x1b[31m", "tab\there", "zero\u200bwidth\u200djoiner",
    "\u202eright to left\u202c", "'; DROP TABLE users; --", "\ufeffmark", "e\u0301 and \u00e9",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea", "表ポあA鷗", "Ω≈ç√∫˜µ≤≥÷",
    "line\u2028separator\u2029", "<script>alert(1)</script>", "${jndi:ldap://x}", "%s%n%d", "[/red] {0}",
    "a" * 300_000, 'quote " in the middle', "one\nline\r\nand\rmore", ",;|", '"', '""', "\\", "\\n",
    "=cmd|' /C calc'!A0", "\U0010ffff", "ﷺ", "I İ ı i ß ẞ",
)  # fmt: skip
