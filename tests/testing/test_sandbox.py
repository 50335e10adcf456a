"""What a plugin does to the folder and the process during a check."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.culprits.making import SUMMARY, TEXTS
from textclf import Field
from textclf.plugin import single_file
from textclf.testing import check_component, check_plugin
from textclf.testing.toy import TextsOptions, ToySummary, ToyTexts


class ReadingOptions(TextsOptions):
    path: str = Field("notes.txt", description="a file")


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a small file and a large one, in which the check is begun."""
    here = tmp_path / "user"
    (here / "data").mkdir(parents=True)
    for name in ("notes.txt", "data/notes.txt", "../above.txt"):
        (here / name).write_text("small")
    (here / "large.txt").write_text("x" * 100_000)
    monkeypatch.chdir(here)
    return here


def states(kind: str, component: Any, options: dict[str, Any] | None = None) -> dict[str, str]:
    found = check_component(component, kind, options)
    return {each.clause.id: each.detail for each in found if each.state == "failed"}


@pytest.mark.parametrize("path", ["notes.txt", "data/notes.txt", "large.txt", "../above.txt"])
def test_a_path_relative_to_the_current_folder_is_found(path: str, user_folder: Path) -> None:
    class Reading(ToyTexts):
        def load(self, context: Any) -> Any:
            assert Path(self.options.path).exists()
            return super().load(context)

    component = replace(TEXTS, options=ReadingOptions, build=Reading)
    assert states("dataset", component, {"path": path}) == {}


@pytest.mark.parametrize("name", ["new.txt", "notes.txt", "made"])
def test_what_an_output_writes_into_the_current_folder_is_named_and_the_users_is_as_it_was(
    name: str, user_folder: Path
) -> None:
    class Littering(ToySummary):
        def write(self, finished: Any, place: Path) -> None:
            super().write(finished, place)
            Path(name).mkdir(exist_ok=True) if name == "made" else Path(name).write_text("litter")

    before = sorted(user_folder.rglob("*"))
    assert states("output", replace(SUMMARY, build=Littering)) == {
        "output.folder": f"it writes into the current folder, not into the one it is given: {name}"
    }
    assert sorted(user_folder.rglob("*")) == before
    assert (user_folder / "notes.txt").read_text() == "small"


def test_an_environment_variable_that_a_component_sets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTCLF_GONE", "1")

    class Setting(ToyTexts):
        def load(self, context: Any) -> Any:
            os.environ["TEXTCLF_SET"] = "1"
            os.environ.pop("TEXTCLF_GONE", None)
            return super().load(context)

    assert states("dataset", replace(TEXTS, build=Setting)) == {
        "work.world": "it changes the environment variable 'TEXTCLF_GONE' and the environment variable 'TEXTCLF_SET'"
    }
    assert (os.environ.get("TEXTCLF_GONE"), os.environ.get("TEXTCLF_SET")) == ("1", None)


def test_what_a_dataset_writes_into_the_current_folder_is_named(user_folder: Path) -> None:
    class Caching(ToyTexts):
        def load(self, context: Any) -> Any:
            Path("cache.bin").write_text("texts")
            return super().load(context)

    assert states("dataset", replace(TEXTS, build=Caching)) == {
        "work.files": "it writes into the current folder: cache.bin"
    }
    assert not (user_folder / "cache.bin").exists()


WRONG = '''
import logging, os, random, signal, socket, subprocess, threading, time, warnings
import textclf_wrong_part
os.environ["TEXTCLF_ONE"] = "1"
os.environ.setdefault("TEXTCLF_TWO", "2")
os.chdir(os.path.dirname(os.getcwd()))
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
random.seed(3)
open("{folder}/written.txt", "w").close()
try:
    socket.create_connection(("example.org", 80), timeout=1)
except OSError:
    pass
threading.Thread(target=time.sleep, args=(600,), name="sleeper").start()
logging.basicConfig()
warnings.simplefilter("ignore")
subprocess.run(["true"])
import numpy
numpy.random.seed(1)
def textclf_encoders():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("{folder}/written.txt").close()
    os.environ["TEXTCLF_THREE"] = "3"
    return []
'''
ACTS = (
    "importing it and calling its hooks writes '{folder}/written.txt' ({file}:10); asks where 'example.org' is "
    "({file}:12); starts ['true'] ({file}:18); reads '{folder}/written.txt' ({file}:23)"
)
CHANGES = (
    "importing it and calling its hooks changes the process: the environment variable 'TEXTCLF_PART' ({file}:3); the "
    "environment variable 'TEXTCLF_ONE' ({file}:4); the environment variable 'TEXTCLF_TWO' ({file}:5); the current "
    "folder ({file}:6); the handler of SIGUSR1 ({file}:7); the handler of SIGINT ({file}:8); the generator of random "
    "({file}:9); the filters of warnings ({file}:17); the handler of SIGTERM ({file}:22); the environment variable "
    "'TEXTCLF_THREE' ({file}:24); the root logger; the thread 'sleeper', which runs on; the generator of numpy.random"
)
INNOCENT = '''
import os, pathlib, signal, warnings
import textclf_quiet_part
TABLE = pathlib.Path(__file__).read_text()
os.environ["TEXTCLF_FOR_A_WHILE"] = "1"
del os.environ["TEXTCLF_FOR_A_WHILE"]
HANDLER = signal.getsignal(signal.SIGINT)
if os.environ.get("TEXTCLF_ONE") or pathlib.Path("/dev/null").open("w").close():
    raise ValueError
def textclf_encoders():
    import textclf_lazy_part
    return []
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, for modules that are gone afterwards; the environment is as it was."""
    for name in ("TEXTCLF_ONE", "TEXTCLF_TWO", "TEXTCLF_THREE", "TEXTCLF_PART"):
        monkeypatch.setenv(name, "inherited")  # by this process, which imports the plugin, too
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("textclf_wrong") or "textclf_quiet" in name]:
        sys.modules.pop(name)


def bare(name: str, source: str, folder: Path, loosely: bool) -> ModuleType:
    """Return what looks like the module, imported, without running its body here: only a fresh interpreter does."""
    path = folder / f"{name}.py"
    path.write_text("def textclf_encoders(): return []\n")
    module = single_file.load(str(path)) if loosely else importlib.import_module(name)
    path.write_text(source)
    return module


@pytest.mark.parametrize("loosely", [False, True])
def test_all_that_import_and_hooks_do_is_named_with_its_line(loosely: bool, folder: Path) -> None:
    name = "textclf_wrong_file" if loosely else "textclf_wrong"
    part = "import os\nos.environ['TEXTCLF_PART'] = 'by a module of its own'\n"
    (folder / "textclf_wrong_part.py").write_text(part)
    found = check_plugin(bare(name, WRONG.replace("{folder}", str(folder)), folder, loosely))
    failed = {each.clause.id: each.detail for each in found if each.state == "failed"}
    failed.pop("plugin.light", None)
    named = {"folder": folder, "file": f"{name}.py"}
    assert failed == {"plugin.pure": ACTS.format(**named), "plugin.still": CHANGES.format(**named)}


def test_what_an_import_reads_and_what_is_put_back_is_no_fault(folder: Path) -> None:
    (folder / "textclf_quiet_part.py").write_text("import warnings\nwarnings.simplefilter('ignore')\n")
    (folder / "textclf_lazy_part.py").write_text("")
    os.environ.pop("TEXTCLF_ONE")
    found = check_plugin(bare("textclf_quiet", INNOCENT, folder, False))
    assert {each.clause.id: each.detail for each in found if each.state == "failed"} == {}


@pytest.mark.parametrize(
    ("writing", "said"),
    [
        ("import os\nos.write(1, b'loading... ')", "'loading... '"),
        ("import sys\nsys.__stdout__.write('loading\\n')", "'loading\\n'"),
        ("import os\nprint('first')\nos.write(1, b'\\xff')", "'first\\n\ufffd'"),
    ],
)
def test_what_is_written_to_stdout_past_python_is_one_finding(writing: str, said: str, folder: Path) -> None:
    source = f"{writing}\ndef textclf_encoders(): return []\n"
    found = check_plugin(bare("textclf_wrong_writer", source, folder, False))
    assert {each.clause.id: each.detail for each in found if each.state == "failed"} == {
        "plugin.quiet": f"importing it and calling its hooks prints {said}"
    }


def test_a_plugin_that_ends_its_interpreter_is_found(folder: Path) -> None:
    found = check_plugin(bare("textclf_wrong_end", "import os\nos._exit(0)\n", folder, False))
    said = {each.detail for each in found if each.state == "failed"}
    assert said == {"in a fresh interpreter it fails: no message"}
