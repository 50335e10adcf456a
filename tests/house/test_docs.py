"""The documentation runs: the python blocks of a page, in order, as one file, in an empty folder."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [Path("README.md"), Path("docs/tutorial.md"), Path("docs/plugin-reference.md"), Path("plugins/README.md")]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """Return the page's python blocks, each with the line it begins at."""
    text = (ROOT / page).read_text("utf-8")
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in _BLOCK.finditer(text)]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=str)
def test_the_python_blocks_of_a_page_run(page, monkeypatch):
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    monkeypatch.syspath_prepend(ROOT / "examples" / "plugins")
    for line, source in blocks(page):
        # Empty lines in front make a traceback point into the page.
        exec(compile("\n" * line + source, str(page), "exec"), module.__dict__)


def test_every_code_block_says_its_language_and_is_closed():
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
        assert all(fences[0::2]), page
        assert not any(fences[1::2]), page


def test_nothing_tells_a_reader_to_install_the_unrelated_package_of_that_name():
    for page in [*PAGES, Path("examples/textclf_shout/README.md")]:
        assert re.findall(r"pip install textclf(?![-_])", (ROOT / page).read_text("utf-8")) == []
