"""The guide for plugin authors says exactly what the code says: each hook with its signature, each clause."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import textclf
from tests.house.reference import written
from textclf.plugin import discovery, hookspecs
from textclf.testing.checks import clauses

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "plugin-reference.md").read_text("utf-8")


def _specified() -> dict[str, str]:
    """Return each hook of hookspecs.py with its exact signature."""
    tree = ast.parse(Path(hookspecs.__file__).read_text("utf-8"))
    return {
        node.name: f"{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("textclf_") and node.returns
    }


def test_each_hook_has_a_heading_with_its_exact_signature():
    assert re.findall(r"^### `(textclf_.*)`$", GUIDE, re.MULTILINE) == list(_specified().values())


def test_each_hook_says_when_it_is_called_and_what_is_forbidden():
    sections = re.split(r"^##+ ", GUIDE, flags=re.MULTILINE)
    for signature in _specified().values():
        (section,) = [section for section in sections if section.startswith(f"`{signature}`")]
        assert re.search(r"\b[Cc]alled\b", section), signature
        assert "Forbidden: " in section, signature


def test_each_hook_has_a_test_of_its_name():
    tree = ast.parse((ROOT / "tests" / "plugin" / "test_discovery.py").read_text("utf-8"))
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [name for name in tests if name.startswith("test_textclf_")] == [f"test_{hook}" for hook in _specified()]


def test_each_hook_of_the_page_is_driven_by_discovery():
    assert set(_specified()) == set(discovery._ALL_HOOKS)


def test_each_hook_is_documented_where_it_is_specified():
    assert [name for name in _specified() if not getattr(hookspecs, name).__doc__] == []


def test_the_generated_parts_of_the_guide_are_those_of_the_code():
    assert written(GUIDE) == GUIDE, "run: python -m tests.house.reference"
    assert all(f"\n| `{name}` |" in GUIDE for name in textclf.__all__)
    ids = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", GUIDE, re.MULTILINE)
    assert ids == clauses()
    assert len(set(ids)) == len(ids)


def test_every_link_inside_the_guide_leads_somewhere():
    headings = re.findall(r"^#+ (.*)$", GUIDE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", GUIDE)
    assert [link for link in links if link.startswith("#") and link[1:] not in anchors] == []
    paths = [link for link in links if not link.startswith("#")]
    assert paths
    assert [path for path in paths if not (ROOT / "docs" / path.partition("#")[0]).exists()] == []
