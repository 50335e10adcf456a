"""Who may import whom, as data; checked in the source and in a fresh interpreter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE, PLUGINS = ROOT / "textclf", ROOT / "plugins"

# The core, one direction: a folder (or file) imports only what stands to its left.
ORDER = (
    "errors", "files", "data", "tables", "plugin", "recipe", "evaluation", "model", "run", "compare",
    "engine", "testing", "cli",
)  # fmt: skip
LAYERS: dict[str, set[str]] = {part: set(ORDER[:place]) for place, part in enumerate(ORDER)}
LAYERS["__main__"] = {"cli"}
LAYERS["scaffold"] = {"errors", "files"}
LAYERS["downloads"] = LAYERS["recipe"]
LAYERS["cli"] |= {"scaffold"}

# What each folder of the core may import when it is imported, beside the standard library and the core itself.
LIBRARIES: dict[str, set[str]] = {
    "plugin": {"pydantic", "pydantic_core", "pluggy", "packaging"},
    "downloads": {"filelock"},
    "recipe": {"pydantic", "pydantic_core", "yaml"},
    "evaluation": {"pydantic"},
    "model": {"pydantic", "yaml"},
    "run": {"pydantic", "filelock", "platformdirs", "yaml"},
    "cli": {"typer", "rich", "pydantic", "filelock"},
    "testing": {"pydantic"},
}

# A plugin imports textclf, pydantic, and its one family of libraries.
FAMILIES: dict[str, set[str]] = {
    "textclf_imdb": {"gdown", "requests", "numpy"},
    "textclf_files": {"numpy"},
    "textclf_reviews": {"numpy"},
    "textclf_transformers": {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy"},
    "textclf_torch": {"torch", "transformers", "tokenizers", "safetensors", "captum", "numpy"},
    "textclf_sklearn": {"sklearn", "numpy", "scipy"},
    "textclf_vectors": {"torch", "safetensors", "pyarrow", "numpy"},
    "textclf_report": {"jinja2", "yaml", "numpy"},
}

HEAVY = ("torch", "transformers", "sklearn", "pandas", "numpy", "scipy", "safetensors", "gdown", "requests", "pyarrow")
SOURCES = sorted([*CORE.rglob("*.py"), *PLUGINS.rglob("*.py")])
EVERYTHING = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imports(tree: ast.AST, path: Path, *, lazy: bool = True) -> Iterator[str]:
    """Give the absolute names that a file imports; without `lazy` not those inside functions or for types only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node, path)
        elif lazy or not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_types(node)):
            yield from _imports(node, path, lazy=lazy)


def _from(node: ast.ImportFrom, path: Path) -> Iterator[str]:
    root = CORE.parent if path.is_relative_to(CORE) else PLUGINS
    package = list(path.relative_to(root).parts[:-1])
    module = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
    module = module if node.level else node.module or ""
    # `from . import x` names x; `from .x import y` names x.
    yield from ([f"{module}.{alias.name}" for alias in node.names] if node.module is None else [module])


def _part(name: str) -> str:
    """Return the part of the core that a module `textclf.x.y` belongs to; `` for the package itself."""
    part = name.split(".")[1] if "." in name else ""
    return "" if part == "__version__" else part


def _own_part(path: Path) -> str:
    part = path.relative_to(CORE).parts[0].removesuffix(".py")
    return "" if part == "__init__" else part


def _core() -> list[Path]:
    return [path for path in SOURCES if path.is_relative_to(CORE)]


def test_a_folder_of_the_core_imports_only_what_stands_to_its_left():
    # The package itself names the homes of the public names, for type checkers only.
    wrong = {}
    for path in _core():
        part, tree = _own_part(path), ast.parse(path.read_bytes())
        imported = {_part(name) for name in _imports(tree, path) if name.split(".")[0] == "textclf"}
        if part and imported - LAYERS[part] - {part, ""}:
            wrong[_name(path)] = imported - LAYERS[part] - {part, ""}
    assert wrong == {}


def test_no_file_imports_one_that_imports_it():
    """Imports inside functions and for types count: who reads one file must not have to know the other."""
    modules = {_module(path): path for path in SOURCES if path != CORE / "__init__.py"}
    arrows = {name: set(_imports(ast.parse(path.read_bytes()), path)) & set(modules) for name, path in modules.items()}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def _module(path: Path) -> str:
    root = CORE.parent if path.is_relative_to(CORE) else PLUGINS
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def test_the_core_imports_only_light_libraries_when_it_is_imported():
    wrong = {}
    for path in _core():
        imported = {name.split(".")[0] for name in _imports(ast.parse(path.read_bytes()), path, lazy=False)}
        allowed = LIBRARIES.get(_own_part(path), set()) | {"textclf"}
        if imported - sys.stdlib_module_names - allowed:
            wrong[_name(path)] = imported - sys.stdlib_module_names - allowed
    assert wrong == {}


def test_the_core_and_other_plugins_name_no_plugin():
    wrong = {}
    for path in SOURCES:
        own = "" if path.is_relative_to(CORE) else path.relative_to(PLUGINS).parts[0]
        imported = {name for name in _imports(ast.parse(path.read_bytes()), path) if name.startswith("textclf_")}
        others = {name for name in imported if name.split(".")[0] != own}
        # It is public to other torch plugins.
        others -= {"textclf_torch.runtime"}
        if others:
            wrong[_name(path)] = others
    assert wrong == {}


def test_a_plugin_imports_public_names_and_its_one_family_of_libraries():
    wrong = {}
    for path in SOURCES:
        if path.is_relative_to(CORE):
            continue
        plugin, imported = path.relative_to(PLUGINS).parts[0], set(_imports(ast.parse(path.read_bytes()), path))
        allowed = {"textclf", "pydantic", plugin, "textclf_torch", *FAMILIES[plugin], *sys.stdlib_module_names}
        # Plugins use the public names: from textclf import ...
        others = {name for name in imported if name.startswith("textclf.") or name.split(".")[0] not in allowed}
        if others:
            wrong[_name(path)] = others
    assert wrong == {}


@pytest.mark.parametrize("plugin", sorted(FAMILIES))
def test_what_a_plugin_says_of_itself_imports_no_library(plugin):
    path = PLUGINS / plugin / "__init__.py"
    imported = {name.split(".")[0] for name in _imports(ast.parse(path.read_bytes()), path, lazy=False)}
    assert imported - sys.stdlib_module_names - {"textclf", "pydantic", plugin} == set()


def test_every_plugin_folder_is_in_the_table():
    assert {path.parent.name for path in PLUGINS.glob("*/__init__.py")} == set(FAMILIES)


def _loaded(code: str) -> list[str]:
    """Return which heavy libraries a fresh interpreter has loaded after the code."""
    look = f"import json, sys; {code}; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PUBLIC = "import textclf; [getattr(textclf, name) for name in textclf.__all__]"
INSTALLED = "from textclf.plugin.discovery import discover; assert discover().registrations"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in CORE.rglob("*.py")
    if path.name != "__main__.py"
)


@pytest.mark.parametrize("code", [PUBLIC, INSTALLED], ids=["public names", "installed plugins"])
def test_a_fresh_interpreter_loads_no_heavy_library(code):
    assert _loaded(code) == []


def test_no_module_of_the_core_loads_a_heavy_library():
    assert _loaded(f"import importlib; [importlib.import_module(name) for name in {MODULES}]") == []


def test_a_module_begins_with_a_docstring():
    texts = {_name(path): path.read_text("utf-8") for path in EVERYTHING}
    assert [name for name, text in texts.items() if text and not ast.get_docstring(ast.parse(text))] == []


def test_no_file_has_a_name_that_says_nothing():
    nameless = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
    assert [_name(path) for path in EVERYTHING if nameless & set(path.with_suffix("").parts[len(ROOT.parts) :])] == []
