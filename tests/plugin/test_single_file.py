"""Plugins in a single file, and hints where one is missing."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.single_files import SHAPE, write
from tests.toys import Stopping, recipe
from textclf import ArtefactError, Engine, PluginError, RecipeError, Stopped
from textclf.plugin.discovery import discover
from textclf.testing import toy

SHAPED = recipe(encoder="shape")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def engine(*plugins: object, **settings: object) -> Engine:
    return Engine(plugins=[toy, *plugins], entry_points=False, cache="cache", **settings)  # type: ignore[arg-type]


def reason(file: str, source: str) -> str:
    write(file, source)
    [plugin] = discover([file, f"./{file}"], entry_points=False).plugins
    assert (plugin.file, plugin.broken) == (file, True)
    return plugin.error


def test_a_file_is_a_plugin_under_its_stem_and_its_digest_is_known():
    sha256 = write("mine.py")
    before = list(sys.path)
    [plugin] = discover(["./mine.py"], entry_points=False).plugins
    assert (plugin.name, plugin.module, plugin.file, plugin.sha256) == ("mine", "mine", "./mine.py", sha256)
    assert (str(plugin), plugin.origin) == ("plugin ./mine.py", "./mine.py")
    assert (sys.path, "mine" in sys.modules, list(Path().iterdir())) == (before, False, [Path("mine.py")])


def test_a_file_that_is_called_like_a_module_shadows_nothing():
    write("json.py")
    found = discover(["json.py"], entry_points=False).find("encoder", "shape")
    assert found.plugin.module == "json"
    assert sys.modules["json"] is json


def test_a_file_that_is_given_twice_counts_once():
    write("mine.py")
    Path("sub").mkdir()
    Path("sub/mine.py").symlink_to(Path("mine.py").absolute())
    found = discover(["mine.py", "./mine.py", str(Path("mine.py").absolute()), "sub/mine.py"], entry_points=False)
    assert [offer.component.name for offer in found.registrations] == ["shape"]


def test_two_files_of_one_stem_are_refused_together_and_served_by_two_engines():
    write("a/mine.py")
    write("b/mine.py", SHAPE.replace("le=9", "le=3"))
    one, other = engine("a/mine.py").registry, engine("b/mine.py").registry
    assert one.find("encoder", "shape").component.options is not other.find("encoder", "shape").component.options
    with pytest.raises(PluginError) as caught:
        discover(["a/mine.py", "b/mine.py"], entry_points=False)
    assert str(caught.value) == "plugin a/mine.py has the name of plugin b/mine.py; rename the file"


def test_a_file_that_is_called_like_a_given_or_installed_plugin_is_refused():
    write("textclf_sklearn.py")
    with pytest.raises(PluginError) as caught:
        discover(["textclf_sklearn.py"])
    assert str(caught.value).endswith("; rename the file, or block the installed one: TEXTCLF_BLOCK=sklearn")
    write("twice.py")
    with pytest.raises(PluginError) as caught:
        discover([ModuleType("twice"), "twice.py"], entry_points=False)
    assert str(caught.value) == "plugin twice.py has the name of plugin twice; rename the file"


def test_a_component_that_a_file_offers_as_another_plugin_does_is_to_be_renamed_in_the_file():
    """P03: one name offered twice; both are named."""
    write("mine.py", SHAPE.replace('"shape"', '"toy_words"'))
    with pytest.raises(PluginError) as caught:
        engine("mine.py").registry.find("encoder", "toy_words")
    assert str(caught.value) == (
        "encoder 'toy_words' is offered by mine (mine.py) and textclf.testing.toy (no distribution); "
        "rename the one in mine.py"
    )


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nine.py", "plugin 'nine.py': no such file; did you mean 'mine.py'?"),
        ("sub/wurds.py", "plugin 'sub/wurds.py': no such file; did you mean 'sub/words.py'?"),
        ("shop.py", "plugin 'shop.py': no such file"),
        ("folder", "plugin 'folder' is a folder; name one Python file, or install the package with pip"),
        ("mine.txt", "plugin 'mine.txt' is no Python file: its name must end in .py"),
        ("pipe.py", "plugin 'pipe.py' is no regular file; name one Python file"),
        ("mine.py/x.py", "plugin 'mine.py/x.py': no such file"),
    ],
)
def test_what_is_no_python_file_is_wrong_usage(file, message):
    write("mine.py")
    write("sub/words.py")
    Path("folder").mkdir()
    os.mkfifo("pipe.py")
    with pytest.raises(RecipeError) as caught:
        discover([file], entry_points=False)
    assert (str(caught.value), caught.value.exit_code) == (message, 2)


BESIDE = "; --plugin takes one file and does not look beside it: make a package of them, and install it"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def broken(:", "fails at import: SyntaxError: invalid syntax (mine.py, line 1)"),
        ("\nimport sys; sys.exit(3)", "fails at import (line 2): SystemExit: 3"),
        ("class Own(BaseException): ...\nraise Own('x')", "fails at import (line 2): Own: x"),
        (
            "import nosuch",
            "fails at import (line 1): ModuleNotFoundError: No module named 'nosuch'; install the library that brings "
            "'nosuch'",
        ),
        ("import beside", f"fails at import (line 1): ModuleNotFoundError: No module named 'beside'{BESIDE}"),
        (
            "from .beside import x",
            f"fails at import (line 1): ImportError: attempted relative import with no known parent package{BESIDE}",
        ),
        ("x = 3", "has no hook; define one, such as textclf_encoders()"),
        ("\0", "fails at import: ValueError: source code string cannot contain null bytes"),
    ],
)
def test_a_file_that_cannot_be_imported_is_broken_as_a_package_is(source, message):
    """P01: with the line, and what can be done."""
    write("beside.py", "x = 3")
    before = set(sys.modules)
    if "\0" in source:  # later Pythons call it a SyntaxError
        assert reason("mine.py", source).startswith("fails at import: ")
    else:
        assert reason("mine.py", source) == message
    assert set(sys.modules) - before == set()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def textclf_encoder(): ...", "defines 'textclf_encoder', which is no hook; did you mean 'textclf_encoders'?"),
        ("def textclf_encoders(): 1 / 0", "textclf_encoders() fails: ZeroDivisionError: division by zero (mine.py:1)"),
        ("def textclf_encoders(): ...", "textclf_encoders() returns nothing, not a list of components"),
    ],
)
def test_a_broken_hook_of_a_file_is_its_reason(source, message):
    """P02: as it is a package's."""
    assert reason("mine.py", source) == message


def test_a_recipe_that_misses_what_a_broken_file_would_offer_stops_with_its_reason():
    """P01, R15: fatal for a recipe that uses it."""
    write("mine.py", "1 / 0\n" + SHAPE)
    with pytest.raises(RecipeError) as caught:
        engine("mine.py").plan(SHAPED)
    assert caught.value.exit_code == 5
    assert str(caught.value).splitlines()[0] == (
        "encoder: no encoder is called 'shape' (installed: toy_words); broken plugins: mine.py (fails at import (line "
        "1): ZeroDivisionError: division by zero)"
    )


def test_a_run_that_misses_nothing_of_a_broken_file_warns_that_it_goes_on_without_it():
    """An observer is named by no recipe, so nothing else would tell."""
    write("mine.py", "def textclf_events(event): ...")
    report = engine("mine.py").run(recipe()).report
    assert report.warnings == (
        "plugin mine.py is broken, and nothing of it is used: defines 'textclf_events', which is no hook; did you mean "
        "'textclf_event'?",
    )


def test_a_run_records_the_digest_and_keeps_the_file_and_so_does_its_model():
    sha256 = write("mine.py")
    result = engine("./mine.py").run(SHAPED)
    about = json.loads((result.folder / "record.json").read_text("utf-8"))
    assert about["plugins"]["mine"] == f"sha256:{sha256}"
    assert about["plugin_files"] == {"mine": "./mine.py"}
    assert (result.folder / "plugins" / "mine.py").read_text("utf-8") == SHAPE
    saved = json.loads((result.folder / "model" / "textclf.json").read_text("utf-8"))["components"]["encoder"]
    assert saved == {
        "use": "shape", "plugin": "mine", "version": "", "file": "mine.py", "sha256": sha256, "options": {"scale": 1.0},
    }  # fmt: skip
    assert len(engine("mine.py").load(result.folder).predict(["fine weather"])) == 1


def test_a_model_is_not_loaded_with_another_content_of_the_file():
    """C12: a file has no versions, so another content may mean anything; the run has kept the right one."""
    old = write("mine.py")
    folder = engine("mine.py").run(SHAPED).folder
    new = write("mine.py", SHAPE + "# another day\n")
    with pytest.raises(PluginError) as caught:
        engine("mine.py").load(folder)
    assert str(caught.value) == (
        f"encoder 'shape' cannot be restored: plugin mine.py has changed: mine.py had sha256 {old[:12]}, and has "
        f"{new[:12]} now; load the one that saved this model (its run has a copy in its folder 'plugins'), or train "
        f"again"
    )
    assert engine(folder / "plugins" / "mine.py").load(folder).labels.names


def test_features_of_an_edited_file_are_made_anew():
    """The cache goes by fingerprint, which a person forgets to change between two tries."""
    write("mine.py")
    one = engine("mine.py").run(SHAPED)
    write("mine.py", SHAPE.replace('"aeioun"', '"qxyzjk"'))
    other = engine("mine.py").run(SHAPED)
    scores = [(result.folder / "scores.npy").read_bytes() for result in (one, other)]
    assert scores[0] != scores[1]


def test_a_module_that_a_program_gives_is_known_by_the_digest_of_its_file(tmp_path, monkeypatch):
    sha256 = write("given.py")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("given")
    monkeypatch.delitem(sys.modules, "given")
    folder = engine(module).run(SHAPED).folder
    assert json.loads((folder / "record.json").read_text("utf-8"))["plugins"]["given"] == f"sha256:{sha256}"
    with pytest.raises(PluginError) as caught:
        engine().load(folder)
    assert str(caught.value).endswith(
        "; it was saved by plugin given, which a program passed: Engine(plugins=[given])"
    )


def test_a_fault_of_a_file_says_how_to_check_it():
    """P04: the file, the component, the method, what it did, and what to type."""
    write("my plugin.py", SHAPE.replace("texts.first]", "texts.first[1:]]"))
    with pytest.raises(PluginError) as caught:
        engine("my plugin.py").run(SHAPED)
    assert str(caught.value) == (
        "encoder 'shape' (plugin my plugin.py): encode returned 31 rows of features for 32 texts; see "
        "`textclf --plugin 'my plugin.py' plugins check shape`"
    )


def test_a_model_without_the_file_names_it_and_the_way_to_give_it():
    """C12: a model whose plugin is missing."""
    write("mine.py")
    folder = engine("mine.py").run(SHAPED).folder
    with pytest.raises(PluginError) as caught:
        engine().load(folder)
    assert str(caught.value) == (
        "no encoder is called 'shape' (installed: toy_words); it was saved by the plugin file 'mine.py', of which the "
        "run has a copy in its folder 'plugins': textclf --plugin mine.py ..."
    )
    assert engine(folder / "plugins" / "mine.py").load(folder).labels.names


def test_a_metric_whose_file_has_changed_is_left_out_with_a_warning():
    metric = "from dataclasses import replace\nfrom textclf.testing.toy import textclf_metrics as offered\n"
    metric += 'def textclf_metrics():\n    return [replace(offered()[0], name="mine")]\n'
    old = write("mine.py", metric)
    done = engine("mine.py").run(recipe(metrics=["toy_accuracy", "mine"]))
    new = write("mine.py", metric + "# another day\n")
    data = (["baba", "dada"], list(done.classifier.labels.names))
    [warning] = engine("mine.py").evaluate(done.classifier, data, draws=100, run=done.folder).warnings
    assert warning == (
        f"metric 'mine' is left out: metric 'mine' cannot be restored: plugin mine.py has changed: mine.py had sha256 "
        f"{old[:12]}, and has {new[:12]} now; load the one that saved this model (its run has a copy in its folder "
        f"'plugins'), or train again"
    )


def interrupted() -> Path:
    write("mine.py")
    with pytest.raises(Stopped):
        engine("./mine.py", stopping=Stopping(1)).run(SHAPED)
    [folder] = Path("runs/toy").iterdir()
    return folder


def test_a_run_is_resumed_with_its_file_and_without_it_says_what_to_type():
    folder = interrupted()
    with pytest.raises(PluginError) as caught:
        engine().resume(folder)
    assert str(caught.value) == (
        f"{folder} was made with the plugin file './mine.py': textclf --plugin ./mine.py resume {folder}"
    )
    Path("mine.py").unlink()
    kept = folder / "plugins" / "mine.py"
    with pytest.raises(PluginError) as caught:
        engine().resume(folder)
    assert str(caught.value).endswith(f"the plugin file './mine.py': textclf --plugin {kept} resume {folder}")
    assert engine(kept).resume(folder).folder == folder


def test_a_run_that_lacks_one_of_its_files_is_resumed_with_all_of_them():
    write("mine.py")
    above = "from dataclasses import replace\nfrom textclf.testing.toy import textclf_trainers as offered\n"
    write("more.py", above + 'def textclf_trainers():\n    return [replace(offered()[0], name="more")]\n')
    with pytest.raises(Stopped):
        engine("mine.py", "more.py", stopping=Stopping(1)).run(recipe(encoder="shape", trainer="more"))
    [folder] = Path("runs/toy").iterdir()
    with pytest.raises(PluginError) as caught:
        engine("more.py").resume(folder)
    assert str(caught.value).endswith(f": textclf --plugin mine.py --plugin more.py resume {folder}")


def test_a_run_whose_file_has_changed_is_not_resumed_unless_told_to():
    """C05: a plugin that is a file is told by its digest."""
    folder = interrupted()
    old = json.loads((folder / "record.json").read_text("utf-8"))["plugins"]["mine"]
    new = write("mine.py", SHAPE + "# another day\n")
    with pytest.raises(ArtefactError) as caught:
        engine("mine.py").resume(folder)
    assert str(caught.value) == (
        f"{folder} cannot be resumed to the same result: mine was {old[:19]} and is sha256:{new[:12]}; use "
        f"--plugin {folder}/plugins/mine.py, the file as it was, run the recipe again, or resume with --allow-changed"
    )
    assert engine("mine.py").resume(folder, allow_changed=True).folder == folder
    assert (folder / "plugins" / "mine.py").read_text("utf-8").endswith("another day\n")
