"""What `plugins check` ends with where nothing is wrong, and yet not all could be tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer

Call = Callable[..., Answer]

FAR = '''
from textclf import Component, DownloadError


class Far:
    def load(self, context):
        raise DownloadError("'far' is not here, and this run is offline")


def textclf_datasets():
    return [Component(name="far", summary="fetched", build=lambda options: Far())]
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_dataset_that_would_have_to_be_fetched_ends_the_check_with_what_would_help(call: Call) -> None:
    Path("mine.py").write_text(FAR)
    answer = call("--plugin", "mine.py", "plugins", "check", "far")
    said = "'far' is not here, and this run is offline; a check fetches nothing: name a copy that is here by an option"
    assert (answer.code, answer.err) == (5, f"textclf: not tried: dataset 'far': {said} (--set)\n")
    assert f"  not tried dataset.texts         {said} (--set)\n" in answer.out
    assert answer.out.splitlines()[-1].endswith(" 11 not tried, 0 failed")


WARNING = '''
from dataclasses import replace
from textclf import Problem
from textclf.testing import toy


def textclf_encoders():
    warned = [Problem("is slow on this machine", exit_code=0)]
    return [replace(words, name="slow", check=lambda options: warned) for words in toy.textclf_encoders()]
'''


def test_a_warning_of_a_component_s_own_check_keeps_nothing_from_being_tried(call: Call) -> None:
    Path("mine.py").write_text(WARNING)
    answer = call("--plugin", "mine.py", "plugins", "check", "slow")
    assert (answer.code, answer.err) == (0, "")
    assert "  holds     component.check " in answer.out
    assert "  holds     encoder.allowed " in answer.out
