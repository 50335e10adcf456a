"""report.html in a real browser: it asks for nothing, runs nothing, and fits a phone in light and in dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textclf_report.output import HtmlReport

from tests.browser import CHROMIUM, Browser, chromium
from tests.plugins.finished import finished, predictions, several
from textclf import Finished

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

ATTACKS = (
    "</script><script>document.title='run'</script>", '"><img src="http://127.0.0.1:9/x.png" onerror="alert(1)">',
    "<iframe src='http://127.0.0.1:9/'></iframe>", "<style>@import 'http://127.0.0.1:9/y.css';</style>",
    "<svg onload=alert(1)>", "<link rel=prefetch href=http://127.0.0.1:9/z>", "\u202e\x00\ud800", "",
    "</title></desc></svg><script>alert(1)</script>",
)  # fmt: skip
# The least contrast of any text against the nearest background that is painted, by WCAG 2.
CONTRAST = """(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const ratios = [...document.querySelectorAll("body *")].filter(e => !e.closest("svg") || e.tagName === "text")
    .filter(e => !e.closest(".still") && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
      const [a, b] = [light(rgb(getComputedStyle(e)[e.tagName === "text" ? "fill" : "color"])), light(behind(e))];
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); });
  return Math.min(...ratios);
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def write(tmp_path) -> Callable[[Finished], Path]:
    def written(made: Finished) -> Path:
        HtmlReport("report.html", 20).write(made, tmp_path)
        return tmp_path / "report.html"

    return written


def test_hostile_labels_and_texts_ask_for_nothing_and_run_nothing(browser, write):
    """X01: markup in a label or a text is inert in a browser."""
    judged = predictions(120, [*filter(None, ATTACKS)], texts=ATTACKS * 13)
    made = finished(judged, name=ATTACKS[0], warnings=ATTACKS, recipe={"name": ATTACKS[1]})
    page = browser.open(write(made))
    assert (page.requests, page.blocked, page.messages, page.dialogs) == ([], [], [], [])
    assert page.ask("document.title") == f"{ATTACKS[0]} · textclf"
    assert page.ask("document.querySelectorAll('script, img, iframe, object, embed, [onload], [onerror]').length") == 0
    assert page.ask("document.querySelectorAll('svg').length") == 6
    assert page.ask("[...document.querySelectorAll('blockquote')].some(q => q.textContent.includes('<iframe src='))")


def test_a_page_that_does_such_things_would_be_caught(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(
        "<title>a</title><script>document.title = 'run'; console.error('said'); alert('asked')</script>"
        "<img src='http://127.0.0.1:9/x.png'>"
    )
    page = browser.open(path)
    assert page.requests == ["http://127.0.0.1:9/x.png"]
    assert page.dialogs == ["asked"]
    assert "console: ['said']" in page.messages
    assert page.ask("document.title") == "run"


def test_the_policy_stops_what_escaping_would_have_missed(browser, write):
    path = write(finished(predictions()))
    hole = "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x.png'><p style='position: fixed'>"
    path.write_text(path.read_text("utf-8").replace("<main>", f"<main>{hole}"), "utf-8")
    page = browser.open(path)
    assert page.requests == []
    assert page.blocked == ["http://127.0.0.1:9/x.png"]
    assert len(page.messages) == 3
    assert all("Content Security Policy" in message for message in page.messages)
    assert page.ask("document.title") == "made · textclf"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "made",
    [finished(predictions(400, ("anger", "joy", "fear", "sadness"), abstain_below=0.3)), finished(several())],
    ids=["single label", "several labels"],
)
def test_a_page_fits_a_phone_and_its_text_is_readable(browser, write, made, dark):
    page = browser.open(write(made), width=320, dark=dark)
    assert page.messages == []
    assert page.ask("document.documentElement.scrollWidth") == 320
    assert page.ask(CONTRAST) >= 4.5
    paper = page.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 27)" if dark else "rgb(251, 251, 250)")
    # Letters of figures are at most a little smaller than those of tables.
    sizes = "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)"
    assert page.ask(f"Math.min(...{sizes})") > 9


def test_long_labels_do_not_widen_the_page(browser, write):
    page = browser.open(write(finished(predictions(200, ["L" * 200, "x" * 199, "word " * 40]))), width=390)
    assert page.ask("document.documentElement.scrollWidth") == 390
