"""What `plugins check` ends with where nothing is wrong, and yet not all could be tried."""

from __future__ import annotations

import re
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


METRIC = '''
from textclf import Component, Field, Options
from textclf.testing.toy import ToyAccuracy


class Wide(Options):
    size: int = Field(3, ge=1, description="how many")


def textclf_metrics():
    return [Component(name="mine", summary="accuracy", options=Wide, build=lambda options: ToyAccuracy(), **MORE)]


MORE = {}
'''


def failed(call: Call, name: str, *files: str) -> dict[str, str]:
    """Return the findings of a check that ends with its list, by subject and clause."""
    given = [word for file in files for word in ("--plugin", file)]
    answer = call(*given, "plugins", "check", name, "--json")
    found = [finding for finding in answer.json()["findings"] if finding["state"] == "failed"]
    assert (answer.code, answer.json()["failed"]) == (5, len(found))
    return {f"{finding['subject']}: {finding['id']}": finding["detail"] for finding in found}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("lambda options: [1]", "check() returns an int in its list, not a textclf.Problem (mine.py:14)"),
        ("lambda options: None", "check() returns nothing, not a list of textclf.Problem (mine.py:14)"),
        (
            'lambda options: [__import__("textclf").Problem("no", exit_code=700)]',
            "check() returns a Problem of exit code 700; there are 2 to 8, and 0 for a warning (mine.py:14)",
        ),
        ("lambda options: 1 / 0", "ZeroDivisionError: division by zero (mine.py:14)"),
    ],
)
def test_a_wrong_check_of_a_component_fails_in_the_list(call: Call, more: str, said: str) -> None:
    Path("mine.py").write_text(METRIC.replace("{}", f'{{"check": {more}}}'))
    assert failed(call, "mine", "mine.py") == {"metric 'mine': component.check": said}


def test_a_validator_that_fails_is_one_finding_in_the_list(call: Call) -> None:
    crash = '    @field_validator("size")\n    def look(cls, size): return [][size]\n\n\ndef textclf_metrics'
    imported = METRIC.replace("\n", "\nfrom pydantic import field_validator\n", 1)
    Path("mine.py").write_text(imported.replace("\n\ndef textclf_metrics", crash))
    said = "IndexError: list index out of range (mine.py:10)"
    assert failed(call, "mine", "mine.py") == {"metric 'mine': options.read": said}


def test_a_default_that_its_option_refuses_is_one_finding_and_no_usage_of_the_users(call: Call) -> None:
    Path("mine.py").write_text(METRIC.replace("Field(3,", "Field(0,"))
    said = {"metric 'mine': options.defaults": "size: must be at least 1, not 0"}
    assert failed(call, "mine", "mine.py") == said
    answer = call("--plugin", "mine.py", "plugins", "check", "mine", "--set", "mine.size=0")
    assert (answer.code, answer.out) == (2, "")
    assert "--set" in answer.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0\n", "fails at import (line 1): ZeroDivisionError: division by zero"),
        ("def textclf_metrics():\n    return 1\n", "textclf_metrics() returns an int, not a list of components"),
    ],
)
def test_a_broken_plugin_fails_in_the_list(call: Call, source: str, said: str) -> None:
    Path("mine.py").write_text(source)
    assert failed(call, "mine", "mine.py") == {"plugin mine (mine.py): plugin.loads": said}


def test_what_is_missing_since_its_plugin_is_broken_is_said_with_the_reason(call: Call) -> None:
    Path("words.py").write_text(METRIC.replace("    size: int", "    use: int"))
    Path("empty.py").write_text("")
    given = ("--plugin", "words.py", "--plugin", "empty.py", "plugins")
    broken = (
        "; broken plugins: empty.py (has no hook; define one, such as textclf_encoders()); words.py (textclf_metrics() "
        "offers 'mine' with an option called 'use', which in a recipe names the component)"
    )
    for command in ("check", "show"):
        said = f"textclf: no component or plugin is called 'mine'{broken}; see 'textclf plugins'\n"
        assert call(*given, command, "mine") == Answer(5, "", said)
    answer = call(*given, "check", "words", "--set", "mine.size=3")
    assert (answer.code, answer.out) == (5, "")
    assert f"--set mine.size=3: mine.size: no component is called 'mine'{broken}\n" in answer.err


def test_a_name_that_another_plugin_has_too_fails_in_both_and_the_list_tells_them_apart(call: Call) -> None:
    Path("mine.py").write_text(METRIC.replace("summary=\"accuracy\"", "summary=''"))
    Path("yours.py").write_text(METRIC)
    assert failed(call, "mine", "mine.py", "yours.py") == {
        "plugin mine (mine.py): plugin.names": "offered by others too: metric 'mine' by plugin yours.py; rename it",
        "plugin yours (yours.py): plugin.names": "offered by others too: metric 'mine' by plugin mine.py; rename it",
        "metric 'mine' (plugin mine.py): component.summary": "its summary is empty",
    }


def test_a_name_of_a_built_in_plugin_is_taken(call: Call) -> None:
    Path("mine.py").write_text(METRIC.replace('"mine"', '"accuracy"'))
    found = failed(call, "mine", "mine.py")
    (said,) = (detail for clause, detail in found.items() if clause == "plugin mine (mine.py): plugin.names")
    assert re.fullmatch(r"offered by others too: metric 'accuracy' by plugin textclf_sklearn.*; rename it", said)


def test_what_an_observer_prints_is_a_finding_and_no_part_of_the_answer(call: Call) -> None:
    Path("loud.py").write_text('def textclf_event(event):\n    print("heard")\n')
    (found,) = failed(call, "loud", "loud.py").items()
    assert found[0] == "plugin loud (loud.py): plugin.quiet"
    assert found[1].startswith("textclf_event prints 'heard\\nheard")
    assert "heard\n" in call("--plugin", "loud.py", "plugins", "check", "loud").err
