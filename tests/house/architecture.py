"""The tree in docs/architecture.md, from docstrings of modules: `python -m tests.house.architecture` writes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"(<!-- tree: begin -->\n```text\n)(.*?)(```\n<!-- tree: end -->)", re.DOTALL)
_WIDTH = 34


def tree() -> str:
    """Return every package and module with the first line of its docstring."""
    packages = [ROOT / "textclf", *sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())]
    return "\n".join(line for package in packages if (package / "__init__.py").exists() for line in _lines(package, 0))


def _lines(package: Path, depth: int) -> Iterator[str]:
    name = package.relative_to(ROOT) if depth == 0 else package.name
    yield _line(f"{name}/", package / "__init__.py", depth)
    for path in sorted(package.glob("*.py")):
        if path.name != "__init__.py":
            yield _line(path.name, path, depth + 1)
    for path in sorted(package.iterdir()):
        if (path / "__init__.py").exists():
            yield from _lines(path, depth + 1)


def _line(name: str, path: Path, depth: int) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return f"{'  ' * depth + name:{_WIDTH}}{docstring.splitlines()[0] if docstring else ''}".rstrip()


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}{tree()}\n{found[3]}", text), "utf-8")
