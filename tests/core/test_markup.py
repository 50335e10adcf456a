"""Text from data in HTML: nothing of it is markup, and nothing of it is hidden."""

from __future__ import annotations

import html
import sys
import unicodedata
from html.parser import HTMLParser

import pytest

from tests.hostile import HOSTILE
from textclf.data.html import Markup, escaped, quoted, table, visible

SEEN = {"\t", "\n", "\u200c", "\u200d"}
# Arabic, Syriac, Kaithi and Egyptian format characters that are drawn, and Khmer vowels that are not but do no harm.
DRAWN = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")


class Elements(HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)

    def handle_data(self, data):
        self.text += data


def read(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    found.close()
    return found


@pytest.mark.parametrize("text", [*HOSTILE, '"><img src=x onerror=alert(1)>', "]]>", "</script><script>alert(1)//"])
def test_no_text_becomes_an_element_and_all_of_it_is_read_back(text):
    """X01: markup in a text is inert, in content and in attributes."""
    found = read(f'<p title="{escaped(text)}">{escaped(text)}</p>')
    assert found.names == ["p"]
    assert found.text == visible(text)
    assert html.unescape(escaped(text)) == visible(text)


def test_every_control_and_invisible_character_is_shown_as_a_sign():
    unseen = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and not unicodedata.name(char, "").startswith(DRAWN)
        and char not in SEEN
    ]
    assert len(unseen) > 2100
    assert [hex(ord(char)) for char in unseen if visible(char) == char] == []
    assert all(visible(char).isprintable() for char in unseen)


def test_what_is_seen_anyway_stays():
    text = "a\tb\nc é 表ポ \U0001f469\u200d\U0001f467 نمی\u200cخواهم"
    assert visible(text) == text


def test_a_character_is_named_by_its_number():
    assert visible("a\x00b\x7f\u202ec\ud800") == "a⟨U+0000⟩b⟨U+007F⟩⟨U+202E⟩c⟨U+D800⟩"


def test_an_empty_or_blank_name_stands_in_quotes():
    assert [quoted(name) for name in ("", "  ", "good", "\u200b")] == ['""', '"  "', "good", "⟨U+200B⟩"]


def test_a_table_escapes_its_cells_but_not_what_is_markup_already():
    made = table(["<label>", "n"], [["a & b", Markup("<b>1</b>")], ["\x1b[31m", "2"]])
    assert made == (
        '<table><thead><tr><th scope="col">&lt;label&gt;</th><th scope="col">n</th></tr></thead>'
        "<tbody><tr><td>a &amp; b</td><td><b>1</b></td></tr><tr><td>⟨U+001B⟩[31m</td><td>2</td></tr></tbody></table>"
    )
    assert isinstance(made, Markup)
    assert escaped(made) is made
