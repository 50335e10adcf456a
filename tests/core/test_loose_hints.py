"""What a model or a run of plugin files says where one of them is not given, and what can be typed then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.loose_files import SHAPE, write
from tests.core.toys import Stopping, recipe
from textclf import ArtefactError, Engine, PluginError, Stopped
from textclf.testing import toy

SHAPED = recipe(encoder="shape")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def engine(*plugins: object, **settings: object) -> Engine:
    return Engine(plugins=[toy, *plugins], entry_points=False, cache="cache", **settings)  # type: ignore[arg-type]


def test_a_model_without_the_file_names_it_and_the_way_to_give_it():
    """C12: a model whose plugin is missing."""
    sha256 = write("mine.py")
    folder = engine("mine.py").run(SHAPED).folder
    with pytest.raises(PluginError) as caught:
        engine().load(folder)
    assert str(caught.value) == (
        "no encoder is called 'shape' (installed: toy_words); it was saved by the plugin file 'mine.py' (sha256 "
        f"{sha256[:12]}): give it, as in `textclf --plugin mine.py ...` or Engine(plugins=['mine.py'])"
    )


def missing(model: Path, *plugins: object) -> str:
    with pytest.raises(PluginError) as caught:
        engine(*plugins).load(model)
    return str(caught.value).partition("): ")[2]


def test_the_file_of_a_model_is_named_where_it_lies_or_else_as_the_run_kept_it():
    """C12: what is printed can be pasted."""
    write("my plugins/mine.py")
    folder = engine("my plugins/mine.py").run(SHAPED).folder
    place = "my plugins/mine.py"
    way = f"give it, as in `textclf --plugin 'my plugins/mine.py' ...` or Engine(plugins=['{place}'])"
    assert missing(folder) == missing(folder / "model") == way
    write(place, SHAPE + "# another day\n")
    kept = f"{folder}/plugins/mine.py"
    way = f"give it, as in `textclf --plugin {kept} ...` or Engine(plugins=['{kept}'])"
    assert missing(folder) == way
    Path(place).unlink()
    assert missing(folder) == way
    assert engine(kept).load(folder).labels.names
    (folder / "model").rename("alone")
    assert missing(Path("alone")) == (
        "give that file, as in `textclf --plugin mine.py ...` or Engine(plugins=['mine.py'])"
    )


def test_files_that_are_given_already_stand_in_the_way_out_too():
    write("mine.py")
    write("other.py", SHAPE.replace('"shape"', '"form"'))
    folder = engine("mine.py", "other.py").run(SHAPED).folder
    assert missing(folder, "other.py").startswith("give it, as in `textclf --plugin other.py --plugin mine.py ...` or ")


def test_a_metric_whose_file_is_another_now_is_found_where_the_run_kept_it():
    metric = "from dataclasses import replace\nfrom textclf.testing.toy import textclf_metrics as offered\n"
    metric += 'def textclf_metrics():\n    return [replace(offered()[0], name="mine")]\n'
    old = write("mine.py", metric)
    done = engine("mine.py").run(recipe(metrics=["toy_accuracy", "mine"]))
    new = write("mine.py", metric + "# another day\n")
    data = (["baba", "dada"], list(done.classifier.labels.names))
    [warning] = engine("mine.py").evaluate(done.classifier, data, draws=100, run=done.folder).warnings
    assert warning == (
        f"metric 'mine' is left out: metric 'mine' (plugin mine.py) is not what saved this model: mine.py had sha256 "
        f"{old[:12]}, and this has {new[:12]}; give the one it was saved with, `textclf --plugin "
        f"{done.folder}/plugins/mine.py ...`, or train again"
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
        f"{folder} cannot be resumed to the same result: mine was {old[:19]} and is sha256:{new[:12]}; give "
        f"--plugin {folder}/plugins/mine.py, which is as it was, run the recipe anew, or resume with --allow-changed"
    )
    assert engine("mine.py").resume(folder, allow_changed=True).folder == folder
    assert (folder / "plugins" / "mine.py").read_text("utf-8").endswith("another day\n")
