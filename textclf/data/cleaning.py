"""Named cleaning steps, the normal form by which texts count as equal, and digests of texts."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from .dataset import Texts

_BREAK = re.compile(r"<\s*br\s*(?:/\s*)?>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>")
_SPACE = re.compile(r"\s+")
_URL = re.compile(r"\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE)

CLEANERS: dict[str, Callable[[str], str]] = {
    "html_breaks": lambda text: _BREAK.sub(" ", text),
    "html_tags": lambda text: _TAG.sub(" ", text),
    "html_entities": html.unescape,
    "urls": lambda text: _URL.sub(" ", text),
    "whitespace": lambda text: _SPACE.sub(" ", text).strip(),
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "lowercase": str.lower,
}


def clean(texts: Texts, steps: Sequence[str]) -> Texts:
    """Apply the named steps in order to every text, and replace lone surrogates, which no encoder can read."""
    return Texts(_clean(texts.first, steps), None if texts.second is None else _clean(texts.second, steps))


def _clean(column: Sequence[str], steps: Sequence[str]) -> list[str]:
    functions = [CLEANERS[step] for step in steps]
    cleaned = []
    for text in column:
        for function in functions:
            text = function(text)
        cleaned.append(whole(text))
    return cleaned


def whole(text: str) -> str:
    """Return the text with lone surrogates replaced by U+FFFD, so that it can be written as UTF-8."""
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def normal_form(text: str) -> str:
    """Return the form by which two texts count as equal: NFKC, case-folded, single spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Case folding can undo the normal form, so Unicode's own NFKC_Casefold normalises twice.
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def normal_key(first: str, second: str | None = None) -> bytes:
    """Return a 16-byte key that texts (or pairs) of equal normal form share."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (first,) if second is None else (first, second):
        _feed(digest, normal_form(part))
    return digest.digest()


def texts_digest(texts: Texts) -> str:
    """Return the sha256 of the texts, each as length-prefixed UTF-8, as hex digits."""
    digest = hashlib.sha256(b"pairs" if texts.pairs else b"texts")
    for column in texts.columns():
        for text in column:
            _feed(digest, text)
    return digest.hexdigest()


def strings_digest(strings: Iterable[str]) -> str:
    """Return the sha256 of strings, each as length-prefixed UTF-8, as hex digits."""
    digest = hashlib.sha256()
    for string in strings:
        _feed(digest, string)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash | hashlib.blake2b, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
