"""Where a plugin's own code failed: its last line in a traceback, and the line where its methods begin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.core.loose_files import SHAPE, write
from tests.core.toys import recipe
from textclf import Component, Engine, PluginError
from textclf.plugin.component import first_line, own_line
from textclf.plugin.discovery import discover
from textclf.testing import toy

PACKAGE = {
    "textclf_own/__init__.py": "from textclf_own import inner\n\ndef build(options):\n    return inner.made(options)\n",
    "textclf_own/inner.py": "import json\n\ndef made(options):\n    return json.loads(options)\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name, source in PACKAGE.items():
        write(tmp_path / name, source)
    monkeypatch.syspath_prepend(tmp_path)
    import textclf_own

    for name in ("textclf_own", "textclf_own.inner"):
        monkeypatch.delitem(sys.modules, name)
    return textclf_own


def raised(function, *given) -> BaseException:
    with pytest.raises(BaseException) as caught:
        function(*given)
    return caught.value


def test_it_is_the_last_line_of_the_plugin_and_not_that_of_a_library_it_calls(package):
    error = raised(package.build, "{")
    assert isinstance(error, json.JSONDecodeError)
    component = Component(name="own", build=package.build)
    for owner in (package, "textclf_own", "textclf_own:hooks", package.build, component):
        assert own_line(error, owner) == "inner.py:4"


def test_the_file_of_a_package_is_told_with_its_folder(package):
    error = raised(package.build)
    assert own_line(error, package) is None, "the call itself is not the plugin's"
    assert first_line(package.build, package) == "textclf_own/__init__.py:3"


def test_code_of_others_has_no_line(package):
    error = raised(json.loads, "{")
    assert own_line(error, package) is None
    assert first_line(json.loads, package) is None
    assert first_line(len, package) is None
    assert own_line(error, Component(name="own", build=toy.textclf_encoders)) is None


def test_a_loose_file_is_told_by_its_name(tmp_path):
    write(tmp_path / "mine.py", SHAPE + "\n\ndef fail():\n    raise ValueError('no')\n")
    registry = discover([tmp_path / "mine.py"], entry_points=False)
    module = registry.modules["mine"]
    line = len(SHAPE.splitlines()) + 4
    assert own_line(raised(module.fail), module) == f"mine.py:{line}"
    assert own_line(raised(module.fail), registry.find("encoder", "shape").component) == f"mine.py:{line}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def fingerprint(self):", "def fingerprint(self):\n        1 / 0",
         "fingerprint() fails: ZeroDivisionError: division by zero (mine.py:24)"),
        ("texts.first]", "texts.first[1:]]", "encode returned 31 rows of features for 32 texts (mine.py:20)"),
        ("def fingerprint(self):", "def fingerprint(self):\n        return 3",
         "fingerprint returned an int, not a str (mine.py:23)"),
        ("build=Shape,", "build=lambda options: 3,",
         "build() returns an int without 'fit', 'encode', 'fingerprint', 'save', which the contract of "
         "textclf.Encoder asks for (mine.py:31)"),
    ],
)  # fmt: skip
def test_a_fault_of_a_run_names_the_line(tmp_path, monkeypatch, old, new, words):
    """P04: the place in the plugin's own file stands behind what went wrong, before the way out."""
    monkeypatch.chdir(tmp_path)
    write("mine.py", SHAPE.replace(old, new))
    with pytest.raises(PluginError) as caught:
        Engine(plugins=[toy, "mine.py"], entry_points=False, cache="cache").run(recipe(encoder="shape"))
    hint = "see `textclf --plugin mine.py plugins check shape`"
    assert str(caught.value) == f"encoder 'shape' (plugin mine.py): {words}; {hint}"
