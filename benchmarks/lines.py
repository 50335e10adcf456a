"""Counts lines of code, files and the length of functions in each part of this checkout, and at a revision beside it.

    python benchmarks/lines.py                   # the working tree
    python benchmarks/lines.py HEAD~20           # also what stood there at a revision of git, and the change

A line of code holds part of the program: blank lines, docstrings and lines with nothing but a comment do not count. The
share of comments is that of lines with nothing but a comment, among those and the lines of code. A function's length is
its lines of code from `def` on, those of functions inside it included. Files that git ignores are left out.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import subprocess
import sys
import tarfile
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import say

ROOT = Path(__file__).resolve().parents[1]
# A file belongs to the first group under which its path begins so; files of other places are not counted.
GROUPS = {"testing": ("textclf/testing/",), "cli": ("textclf/cli/", "textclf/__main__.py"), "core": ("textclf/",),
          "plugins": ("plugins/",), "tests": ("tests/",), "benchmarks": ("benchmarks/",),
          "examples": ("examples/",)}  # fmt: skip
SHOWN = ("core", "cli", "testing", "plugins", "tests", "benchmarks", "examples")
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
           tokenize.ENCODING}  # fmt: skip
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class File:
    """What one file counts; functions: the length of each."""

    code: int
    comments: int
    functions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What the files of a group count together."""

    files: tuple[File, ...]

    @property
    def code(self) -> int:
        return sum(file.code for file in self.files)

    @property
    def comments(self) -> float:
        """Return the share of comments among all lines that say something."""
        lines = sum(file.comments for file in self.files)
        return lines / max(1, lines + self.code)

    def length(self, share: float) -> int:
        """Return the length that so large a share of the functions does not exceed."""
        lengths = sorted(length for file in self.files for length in file.functions)
        return int(statistics.quantiles(lengths, n=100, method="inclusive")[round(share * 100) - 1]) if lengths else 0

    def cells(self) -> str:
        middle, long = self.length(0.5), self.length(0.9)
        return f"{len(self.files):>7}{self.code:>8,}{self.comments:>10.1%}{middle:>8}{long:>5}"


def count(source: str) -> File:
    """Count one file's source."""
    tree = ast.parse(source)
    told = set(docstrings(tree))
    code: set[int] = set()
    comments: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    code -= told
    functions = (node for node in ast.walk(tree) if isinstance(node, Functions))
    lengths = (len(code.intersection(range(f.lineno, (f.end_lineno or f.lineno) + 1))) for f in functions)
    return File(len(code), len(comments - code), tuple(lengths))


def docstrings(tree: ast.AST) -> Iterator[int]:
    """Give the lines of all docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *Functions)) and ast.get_docstring(node) is not None:
            first = node.body[0]
            yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)


def here() -> Iterator[tuple[str, str]]:
    """Give path and source of each file of the working tree."""
    told = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
    for place in filter(None, told.split("\0")):
        if place.endswith(".py") and (ROOT / place).is_file():
            yield place, (ROOT / place).read_text("utf-8")


def at(revision: str) -> Iterator[tuple[str, str]]:
    """Give path and source of each file at a revision."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", revision))) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".py") and (file := archive.extractfile(member)):
                yield member.name, file.read().decode()


def git(*words: str) -> bytes:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode().strip())
    return done.stdout


def parts(sources: Iterable[tuple[str, str]]) -> dict[str, Part]:
    found: dict[str, list[File]] = defaultdict(list)
    for place, source in sources:
        group = next((group for group, begins in GROUPS.items() if place.startswith(begins)), None)
        if group:
            found[group].append(count(source))
    return {group: Part(tuple(found[group])) for group in SHOWN}


def table(now: dict[str, Part], before: dict[str, Part] | None) -> Iterator[str]:
    heading = f"{'files':>7}{'code':>8}{'comments':>10}{'median':>8}{'p90':>5}"
    yield f"{'':12}{heading}" + (f"  |{heading}  |  change" if before else "")
    for group, part in now.items():
        line = f"{group:12}{part.cells()}"
        if before:
            change = f"{part.code / before[group].code - 1:+8.1%}" if before[group].code else f"{'new':>8}"
            line += f"  |{before[group].cells()}  |{change}"
        yield line


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("revision", nargs="?", metavar="REV", help="also count at this revision of git")
    chosen = parser.parse_args(arguments)
    before = parts(at(chosen.revision)) if chosen.revision else None
    if before:
        say(f"left: the working tree; right: {chosen.revision}; median and p90 are lengths of functions")
    say("\n".join(table(parts(here()), before)))


if __name__ == "__main__":
    main(sys.argv[1:])
