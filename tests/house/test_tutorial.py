"""docs/tutorial.md: its file and its recipe work as they stand, and print what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from textclf.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")


def masked(text: str) -> str:
    """Return a text without its figures, whose last digits depend on the processor."""
    return re.sub(r"\d+", "0", re.sub(r" +", " ", text)).strip()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_encoder_of_the_page_is_the_example():
    (source,) = blocks("python")
    assert source == (ROOT / "examples" / "plugins" / "keywords.py").read_text("utf-8")


def test_the_commands_of_the_page_print_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "keywords.py").write_text(blocks("python")[0], "utf-8")
    (tmp_path / "recipe.yaml").write_text(blocks("yaml")[0], "utf-8")
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("textclf --plugin")]
    printed = []
    for command in commands:
        code = main(shlex.split(command)[1:])
        out, err = capsys.readouterr()
        assert code == (2 if "encoder.size=0" in command else 0), err
        printed.append(masked(f"{out}\n{err}"))
    shown = [masked(block) for block in blocks("text") if "def textclf_" not in block]
    assert len(shown) == len(commands) - 1  # the plan that `check` prints is not shown
    assert [text in printed[place + 1] for place, text in enumerate(shown)] == [True] * len(shown)
