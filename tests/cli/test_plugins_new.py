"""`textclf plugins new`: what it says, what it refuses, and that a folder is whole or absent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer

Call = Callable[..., Answer]

NAMES = "(up to 40 lower-case letters, digits and single '_' or '-', a letter first)"
SAID = """\
wrote textclf-shape:
  .github/workflows/tests.yml
  .gitignore
  LICENSE
  README.md
  pyproject.toml
  recipe.yaml
  tests/test_contract.py
  textclf_shape.py

next:
  cd textclf-shape
  pip install -e ".[test]"
  pytest
  textclf plugins show shape
  textclf run recipe.yaml

the function to fill in: measure, textclf-shape/textclf_shape.py:17
"""


@pytest.mark.parametrize("name", ["shape", "textclf-shape", "textclf_shape"])
def test_a_package_is_written_and_the_next_commands_are_shown(call: Call, tmp_path: Path, name: str) -> None:
    assert call("plugins", "new", name, "--kind", "encoder") == Answer(0, SAID, "")
    place = Path("textclf-shape")
    files = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    assert sorted(files) == [line.strip() for line in SAID.splitlines()[1:9]]
    assert [path.name for path in tmp_path.iterdir()] == ["textclf-shape"]
    assert "def measure(" in Path("textclf-shape/textclf_shape.py").read_text("utf-8").splitlines()[16]


def test_json_is_one_document(call: Call, tmp_path: Path) -> None:
    (tmp_path / "my place").mkdir()
    told = call("plugins", "new", "diary", "--kind", "observer", "--to", "my place", "--json").json()
    assert told == {
        "folder": "my place/textclf-diary",
        "files": [
            ".github/workflows/tests.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml",
            "tests/test_contract.py", "textclf_diary.py",
        ],
        "function": "line", "module": "textclf_diary.py", "line": 16,
        "next": ["cd 'my place/textclf-diary'", 'pip install -e ".[test]"', "pytest",
                 "textclf plugins show diary", "textclf run reviews_tfidf"],
    }  # fmt: skip
    assert Path("my place/textclf-diary/LICENSE").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["My Shape"], f"'My Shape' cannot name a plugin; did you mean 'my_shape'? {NAMES}"),
        (["../shape"], f"'../shape' cannot name a plugin; did you mean 'shape'? {NAMES}"),
        (["/tmp/shape"], f"'/tmp/shape' cannot name a plugin; did you mean 'tmp_shape'? {NAMES}"),
        (["3d"], f"'3d' cannot name a plugin {NAMES}"),
        ([""], f"'' cannot name a plugin {NAMES}"),
        (["textclf-"], f"'textclf-' cannot name a plugin {NAMES}"),
        (["shape_"], f"'shape_' cannot name a plugin; did you mean 'shape'? {NAMES}"),
        (["über"], f"'über' cannot name a plugin; did you mean 'uber'? {NAMES}"),
        (["x" * 41], f"'{'x' * 41}' cannot name a plugin; did you mean '{'x' * 40}'? {NAMES}"),
        (["class"], "'class' cannot name a plugin: it is a word of Python; did you mean 'class_text'?"),
        (["null"], "'null' cannot name a plugin: it is a word of YAML; did you mean 'null_text'?"),
        (["toy"], "a plugin called 'toy' is installed already by toy; choose another name"),
        (["toy_words"], "an encoder called 'toy_words' is offered already by toy; choose another name"),
        (["shape", "--kind", "encoders"], "no kind of plugin is called 'encoders'; did you mean 'encoder'? (known: "
         "dataset, encoder, trainer, metric, output, observer)"),
        (["shape", "--licence", "mit"], "no licence is called 'mit'; did you mean 'MIT'? (known: MIT, BSD-3-Clause, "
         "Apache-2.0, none; for another take 'none', and add its text)"),
        (["shape", "--author", "Ada\nLovelace"], "--author: a name is one line of printable characters"),
        (["shape", "--to", "nowhere"], "'nowhere' is no folder; make it first, or name another one with --to"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_in_one_sentence_and_nothing_is_written(
    call: Call, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert call("plugins", "new", "--kind", "encoder", *arguments) == Answer(2, "", f"textclf: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_be_that_of_a_component_of_another_kind(call: Call) -> None:
    assert call("plugins", "new", "toy_words", "--kind", "metric").code == 0


def test_without_a_kind_the_option_is_asked_for(call: Call, tmp_path: Path) -> None:
    answer = call("plugins", "new", "shape")
    assert (answer.code, answer.out) == (2, "")
    assert "--kind" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_package_is_not_written_twice(call: Call) -> None:
    assert call("plugins", "new", "shape", "--kind", "metric").code == 0
    again = call("plugins", "new", "shape", "--kind", "encoder")
    said = "textclf: 'textclf-shape' exists already and is not overwritten; name another folder with --to\n"
    assert again == Answer(2, "", said)
    assert "textclf_metrics" in Path("textclf-shape/textclf_shape.py").read_text("utf-8")


def test_a_disk_that_fills_while_it_is_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """The licence of 11 KB is larger than any file may become."""
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); "
    code += "from textclf.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["plugins", "new", "shape", "--kind", "encoder", "--licence", "Apache-2.0"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "")
    full = "the disk is full: cannot write textclf-shape; free space or use another folder"
    assert done.stderr == f"textclf: {full}\n"
    assert list(tmp_path.iterdir()) == []
