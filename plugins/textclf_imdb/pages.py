"""Owns the web pages that come where a file should: quota, permission and virus-scan pages, known by their words."""

from __future__ import annotations

import re

_MARKS = ("<!doctype html", "<html", "<head", "<?xml")
_KNOWN = (
    (
        r"too many users have viewed or downloaded|download quota|quota (?:for this file )?(?:has been |is )?exceeded",
        "its download quota is used up for now, which passes within about a day",
    ),
    (
        r"virus|can.t scan this file",
        "it asks to confirm that the file was not scanned for viruses, and no confirmation was accepted",
    ),
    (
        r"you need (?:access|permission)|request access|access denied|sign.in|permission",
        "the file is not open to everyone, or not any more",
    ),
    (r"unusual traffic|captcha|not a robot", "it takes this address for a robot, which passes after a while"),
)


def is_page(head: bytes) -> bool:
    """Tell whether a file that begins so is a web page."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    return text.startswith(_MARKS)


def explain(text: str) -> str | None:
    """Say what a page means, by the words on it, or return None where none is known."""
    visible = " ".join(re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.IGNORECASE | re.DOTALL).split())
    return next((meaning for words, meaning in _KNOWN if re.search(words, visible, re.IGNORECASE)), None)
