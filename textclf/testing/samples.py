"""Sample texts that every encoder must accept: ordinary, empty, very long and hostile ones."""

from __future__ import annotations

from collections.abc import Sequence

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

_MANY = 300
_TIMES = (1, 2, 1, 5, 1, 3)
_HEAD = 240


def many(texts: Sequence[str], size: int = _MANY) -> list[str]:
    """Return so many texts of several lengths made of the given ones, no two alike, but in the middle nearly so.

    They end in their number, except for twins, which differ in nothing but case, or only after many letters.
    """
    several = [" ".join([texts[row % len(texts)]] * _TIMES[row % len(_TIMES)]) for row in range(size)]
    numbered = [f"{text} {row}" for row, text in enumerate(several)]
    for number, row in enumerate(range(size // 2, size // 2 + 12, 4)):
        one, other = texts[number % len(texts)], texts[(number + 1) % len(texts)]
        head = " ".join([one] * (_HEAD // max(1, len(one)) + 1))
        both = f"{one} {other}"  # whole, nobody has read it before
        numbered[row : row + 4] = [both.upper(), both.lower(), f"{head} {one}", f"{head} {other} {other}"]
    return numbered


def wordy(texts: Sequence[str]) -> list[str]:
    """Return the texts with so many words that no other has that all together are more than vocabularies mostly hold.

    They stand in small letters, capitalised and in capitals in turn, and no two texts have one of them.
    """
    made = [[_WRITTEN[number % 3](_word(row * _OWN + number)) for number in range(_OWN)] for row in range(len(texts))]
    return [" ".join([text, *words]) for text, words in zip(texts, made, strict=True)]


_OWN = 72
_WRITTEN = (str.lower, str.capitalize, str.upper)


def _word(number: int) -> str:
    """Return a word of letters alone, another for each number."""
    letters = []
    for _ in range(4):
        number, digit = divmod(number, 60)
        letters.append("bdfgklmnprst"[digit // 5] + "aeiou"[digit % 5])
    return "".join(letters)
