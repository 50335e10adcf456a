"""What the examples promise: a stranger's package works beside broken ones, and one's own CSV makes a recipe."""

from __future__ import annotations

import json

import pytest

import textclf
from tests.packages import LOOK, ROOT, write_package

SHOUT = ROOT / "examples" / "textclf_shout"
_OFFER = """
from textclf import Component
def textclf_encoders():
    return [Component(name="same", build=print)]
"""
BROKEN = {
    "textclf_absent": "import a_library_that_nobody_has\n",
    "textclf_exits": "raise SystemExit(3)\n",
    "textclf_syntax": "def textclf_encoders(:\n    return []\n",
    "textclf_misspelt": "def textclf_encoder():\n    return []\n",
    "textclf_argument": "def textclf_event(evnt):\n    pass\n",
    "textclf_raising": "def textclf_metrics():\n    raise ValueError('no')\n",
    "textclf_strange": "def textclf_trainers():\n    return [42]\n",
    "textclf_one": _OFFER,
    "textclf_other": _OFFER,
}


@pytest.fixture(scope="session")
def house(installed, tmp_path_factory):
    """An installation with the example and with everything that can be wrong with a plugin."""
    folder = tmp_path_factory.mktemp("broken")
    late = write_package(folder, "textclf_late", _OFFER.replace("same", "late"), "textclf-engine>=99")
    return installed(SHOUT, late, *(write_package(folder, name, source) for name, source in BROKEN.items()))


@pytest.fixture(scope="session")
def found(house):
    return house.answer(LOOK)


def test_a_package_that_fails_at_import_is_listed_with_its_reason(found):
    """P01: ImportError, SyntaxError and sys.exit() at import are reasons, not ends."""
    reasons = found["reasons"]
    assert reasons["textclf_absent"] == (
        "fails at import: ModuleNotFoundError: No module named 'a_library_that_nobody_has' (textclf_absent.py:1)"
    )
    assert reasons["textclf_exits"] == "fails at import: SystemExit: 3 (textclf_exits.py:1)"
    assert reasons["textclf_syntax"] == "fails at import: SyntaxError: invalid syntax (textclf_syntax.py, line 1)"


def test_a_hook_that_fails_or_answers_nonsense_is_listed_with_its_reason(found):
    """P01: what a hook raises is the plugin's, and named so."""
    assert found["reasons"]["textclf_raising"] == "textclf_metrics() fails: ValueError: no (textclf_raising.py:2)"
    assert found["reasons"]["textclf_strange"] == "textclf_trainers() returns an int in its list, not a Component"


def test_a_misspelt_hook_is_listed_with_the_one_meant(found):
    """P02: a function called textclf_* that is no hook is a mistake, and gets a suggestion."""
    reason = found["reasons"]["textclf_misspelt"]
    assert reason == "defines 'textclf_encoder', which is no hook; did you mean 'textclf_encoders'?"


def test_a_hook_with_an_unknown_argument_is_listed_with_its_reason(found):
    """P02: an argument that the hook does not have."""
    assert found["reasons"]["textclf_argument"] == (
        "textclf_event() takes the argument 'evnt', which the hook does not have; did you mean 'event'?"
    )


def test_the_example_works_among_the_broken_packages(house, found):
    """P01: the rest works."""
    assert found["reasons"]["textclf_shout"] == ""
    assert ["encoder", "shout", "textclf_shout"] in found["offers"]
    code = """
import json, pathlib
from textclf import Texts
from textclf.plugin.discovery import discover
from textclf.testing import LocalContext
component = discover().find("encoder", "shout").component
features = component.build(component.options()).encode(Texts(["a GOOD film", ""]), LocalContext(pathlib.Path()))
print(json.dumps(list(features.shape)))
"""
    assert house.answer(code) == [2, 4096]


def test_the_built_in_plugins_work_among_the_broken_packages(found):
    """P01: and harms nothing."""
    built_in = ["files", "imdb", "reviews", "sklearn", "torch", "transformers"]
    assert {name: found["reasons"][f"textclf_{name}"] for name in built_in} == dict.fromkeys(built_in, "")


def test_one_name_offered_by_two_plugins_is_an_error_that_names_both(house):
    """P03: one name offered twice."""
    code = """
import json
from textclf import PluginError
from textclf.plugin.discovery import discover
try:
    discover().find("encoder", "same")
except PluginError as error:
    print(json.dumps([error.exit_code, str(error)]))
"""
    assert house.answer(code) == [
        5,
        "encoder 'same' is offered by textclf_one (textclf-one) and textclf_other (textclf-other); "
        "uninstall one of them",
    ]


def test_a_plugin_made_for_another_version_is_listed_with_both_versions(found):
    """P07: needs another API version."""
    assert found["reasons"]["textclf_late"] == (
        f"needs textclf-engine>=99, and this is {textclf.__version__}; "
        "install a version of 'textclf-late' made for it"
    )


def test_the_tests_of_the_example_package_pass(house):
    done = house.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(SHOUT / "tests"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_textclf_plugins_lists_the_broken_packages_and_exits_well(house):
    """P01: the command itself is none the worse for them."""
    done = house.python("-m", "textclf", "plugins", "--json")
    assert done.returncode == 0, done.stderr
    listed = {plugin["module"]: plugin["broken"] for plugin in json.loads(done.stdout)["plugins"]}
    assert listed["textclf_shout"] is None
    assert listed["textclf_exits"] == "fails at import: SystemExit: 3 (textclf_exits.py:1)"
    assert set(BROKEN) <= set(listed)


def test_the_recipe_of_the_example_package_runs_among_the_broken_packages(house, tmp_path):
    """P01: a whole run, with a component of a stranger's package."""
    recipe = str(SHOUT / "shout.yaml")
    done = house.python("-m", "textclf", "run", recipe, "--set", "split.limit=4000", "--runs", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["report"]["metrics"]["accuracy"]["value"] > 0.6


def test_a_recipe_that_uses_a_broken_plugin_says_why_it_cannot(house, tmp_path):
    """P01: fatal only for a recipe that uses it; with exit code 5 and the reason."""
    recipe = tmp_path / "absent.yaml"
    recipe.write_text("version: 1\ndataset: reviews\nencoder: absent\ntrainer: logistic\n", "utf-8")
    done = house.python("-m", "textclf", "check", str(recipe))
    assert done.returncode == 5
    assert "fails at import: ModuleNotFoundError: No module named 'a_library_that_nobody_has'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_recipe_on_ones_own_csv_runs_from_the_root_of_the_repository(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    result = textclf.Engine(runs=tmp_path, cache=tmp_path / "cache").run("examples/own_csv.yaml")
    accuracy, chance = result.report.metrics["accuracy"].value, result.report.baseline["accuracy"]
    assert accuracy > chance
    assert result.classifier.labels.names == ("billing", "login", "praise", "technical")
    assert result.classifier.predict_one("I was charged twice, please refund one payment").label == "billing"
