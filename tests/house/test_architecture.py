"""docs/architecture.md is true: its tree, its ladder of imports, the functions and the files that it names."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.house.architecture import BLOCK, PAGE, ROOT, tree
from tests.house.test_layers import MODULES, ORDER, PLUGINS

TEXT = PAGE.read_text("utf-8")
# Names that end in -ing or -ed are verbs or participles, which tell a reader little; these are nouns of the field.
NOUNS = {
    "batching": "the field's word for rows worked on together",
    "cleaning": "data cleaning",
    "distributed": "torch.distributed",
    "packed": "packed sequences, as in torch.nn.utils.rnn",
    "scoring": "what a model does with texts, as in sklearn's `scoring`",
    "splitting": "train/test splitting",
    "testing": "as numpy.testing and torch.testing",
}


def test_the_tree_is_that_of_the_code():
    found = BLOCK.search(TEXT)
    assert found is not None
    assert found[2] == f"{tree()}\n", "run: python -m tests.house.architecture"


def test_the_ladder_is_that_of_the_layer_tests():
    (line,) = re.findall(r"<!-- ladder -->\n```text\n(.*)\n```", TEXT)
    assert tuple(line.split(" <- ")) == ORDER


@pytest.mark.parametrize("name", re.findall(r"`(textclf[\w.]*(?::\w+)?)`", TEXT.partition("## One recipe")[2]))
def test_each_function_that_the_page_names_exists(name: str):
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    assert not function or callable(getattr(found, function))


def test_each_file_that_the_page_names_exists():
    for row in TEXT.partition("## Where a change belongs")[2].splitlines()[4:]:
        folder = None
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row.rpartition("|")[0].rpartition("|")[2]):
            path = ROOT / name if "/" in name else folder / name if folder else ROOT / name
            assert path.exists(), name
            folder = path.parent


def test_no_module_is_named_by_a_verb_or_a_participle():
    plugins = [".".join(path.relative_to(PLUGINS).with_suffix("").parts) for path in PLUGINS.rglob("*.py")]
    parts = {part for module in (*MODULES, *plugins) for part in module.split(".")}
    assert sorted(part for part in parts if re.search(r"(ing|ed|wise|where)$", part)) == sorted(NOUNS.keys() & parts)
