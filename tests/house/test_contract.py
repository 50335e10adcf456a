"""What users rely on, as it was frozen in `contract/*.json`: nothing of it is lost. What is new is no loss.

Frozen are the commands with their options, the keys and types of every JSON document and of the files of a run, the
public names, the names of components and recipes, and what recipes may say. `gathering.py` tells how each is found, and
freezes it anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import textclf
from tests.house.shapes import lost, merged, shape

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = Path(__file__).parent / "contract"


def frozen(name: str) -> Any:
    return json.loads((CONTRACT / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Any:
    """Return what the installed version has, by the files of the contract; gathered once for all workers."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    kept = folder / "contract.json"
    with FileLock(folder / "contract.lock"):
        if not kept.is_file():
            kept.write_text(gathered(), "utf-8")
    return json.loads(kept.read_text("utf-8"))


def gathered() -> str:
    """Gather it in a process of its own, since that changes its folder and its settings."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "tests.house.gathering"], env={**os.environ, "PYTHONPATH": paths}, capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def gone(before: dict[str, list[str]], now: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return, by place, the names that a list had and has no more."""
    each = {place: [name for name in names if name not in now.get(place, [])] for place, names in before.items()}
    return {place: names for place, names in each.items() if names or place not in now}


def test_every_command_is_still_there_and_takes_its_options(found: Any) -> None:
    before = {path: each["options"] for path, each in frozen("commands").items()}
    now = {path: each["options"] for path, each in found["commands"].items()}
    assert gone(before, now) == {}


def test_every_command_takes_its_arguments_in_their_order(found: Any) -> None:
    before = {path: each["arguments"] for path, each in frozen("commands").items()}
    now = {path: each["arguments"] for path, each in found["commands"].items()}
    # A further argument would have to stand behind those that are there.
    assert {path: now[path][: len(each)] for path, each in before.items()} == before


def test_every_json_document_has_its_keys_with_their_types(found: Any) -> None:
    now = found["documents"]
    losses = {name: lost(before, now.get(name)) for name, before in frozen("documents").items()}
    assert {name: each for name, each in losses.items() if each} == {}


def test_a_run_leaves_its_files(found: Any) -> None:
    assert gone(frozen("run_folder")["files"], found["run_folder"]["files"]) == {}


def test_the_files_of_a_run_have_their_keys_with_their_types(found: Any) -> None:
    now = found["run_folder"]["shapes"]
    losses = {name: lost(before, now.get(name)) for name, before in frozen("run_folder")["shapes"].items()}
    assert {name: each for name, each in losses.items() if each} == {}


def test_the_journal_of_a_run_tells_of_every_kind_of_event_with_its_keys(found: Any) -> None:
    now = found["run_folder"]["events"]
    losses = {kind: lost(before, now.get(kind)) for kind, before in frozen("run_folder")["events"].items()}
    assert {kind: each for kind, each in losses.items() if each} == {}


def test_the_table_of_predictions_begins_with_its_columns(found: Any) -> None:
    assert found["run_folder"]["columns"] == frozen("run_folder")["columns"]


@pytest.mark.parametrize("module", ["textclf", "textclf.testing"])
def test_every_public_name_is_still_there_with_what_it_has(module: str, found: Any) -> None:
    assert gone(frozen("names")[module], found["names"][module]) == {}


def test_every_recipe_that_comes_with_textclf_is_still_there(found: Any) -> None:
    assert set(frozen("options")["recipes"]) - set(found["options"]["recipes"]) == set()


def test_a_recipe_may_still_say_whatever_it_could(found: Any) -> None:
    assert set(frozen("options")["settings"]) - set(found["options"]["settings"]) == set()


OPTIONS = {
    (kind, name): options for kind, each in frozen("options")["components"].items() for name, options in each.items()
}
# These must be given, whatever else is said.
REQUIRED = ("vectors", "checkpoint")


def said(name: str, value: Any) -> dict[str, Any]:
    """Return what a recipe says of one option; a dotted name is that of one inside of another."""
    outer, _, inner = name.partition(".")
    return {outer: {inner: value}} if inner else {outer: value}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("kind", "name"), OPTIONS)
def test_a_component_takes_every_option_by_its_old_name(kind: str, name: str) -> None:
    """A new name is fine where the old one is still read, be it by `migrate` only, as in models and old runs."""
    registry = textclf.Engine().registry
    [component] = [o.component for o in registry.registrations if (o.kind, o.component.name) == (kind, name)]
    options, stored = component.options, OPTIONS[kind, name]
    given = {required: stored[required] for required in REQUIRED if required in stored}
    refused = {}
    for option, default in stored.items():
        values = {**given, **said(option, default)}
        try:
            read(options, values)
        except ValueError as error:
            try:
                read(options, options.migrate("0.1.0", values))
            except ValueError:
                refused[option] = str(error)
    assert refused == {}


def read(options: type[textclf.Options], values: dict[str, Any]) -> textclf.Options:
    """Read options as a recipe's are read: as JSON, strictly."""
    return options.model_validate_json(json.dumps(values))


def test_an_option_that_no_component_has_is_refused() -> None:
    """Without this the test of the old names would prove nothing."""
    [tfidf] = [o.component for o in textclf.Engine().registry.registrations if o.component.name == "tfidf"]
    with pytest.raises(ValueError, match="no_such_option"):
        read(tfidf.options, {"no_such_option": 1})


def test_a_loss_is_seen_and_an_addition_is_none() -> None:
    """Without this the tests of documents would prove nothing."""
    before = shape({"name": "a", "number": 1.5, "each": [{"x": [1], "y": None}, {"x": []}], "parts": {"load": 1.0}})
    assert before == {
        "each": [{"x": ["int"], "y?": "null"}], "name": "str", "number": "float", "parts": {"*": "float"},
    }  # fmt: skip
    more = {"name": "b", "number": 1, "each": [{"x": [3], "z": 4}], "parts": {"save": 2.0}, "also": True}
    assert lost(before, shape(more)) == []
    less = {"name": None, "each": [{"y": None}, {"x": ["1"]}], "parts": {"load": "1 s"}}
    assert lost(before, shape(less)) == [
        "each[].x[] was int and is str",
        "each[].x is not always there",
        "name was str and is null",
        "number is gone",
        "parts.* was float and is str",
    ]
    assert lost(before, None) == ["the document is gone"]


def test_a_key_that_is_there_only_sometimes_is_no_replacement_for_one_that_always_is() -> None:
    before, now = merged([{"x": 1}, {"x": 2}]), merged([{"x": 1}, {}])
    assert lost(before, now) == ["x is not always there"]
    assert lost(now, before) == []
    assert lost(merged([None, 1]), merged([None, {}])) == ["the document was int|null and is null or an object"]
