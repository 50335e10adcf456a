"""The installing of packages for tests: into a folder of their own, where entry points are really discovered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

LOOK = """
import json
from textclf.plugin.discovery import discover
registry = discover()
print(json.dumps({
    "reasons": {plugin.module: plugin.error for plugin in registry.plugins},
    "offers": [[offer.kind, offer.component.name, offer.plugin.module] for offer in registry.registrations],
}))
"""


@dataclass(frozen=True)
class Installation:
    """A folder that packages are installed in, and a Python that sees them beside the house's own."""

    folder: Path

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        there = {**os.environ, "PYTHONPATH": str(self.folder), **environment}
        return subprocess.run(
            [sys.executable, *arguments], env=there, capture_output=True, text=True, timeout=240, check=False
        )

    def answer(self, code: str) -> Any:
        """Run code that prints one JSON document, and return what it says."""
        done = self.python("-c", code)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def write_package(folder: Path, module: str, source: str, requires: str = "textclf-engine") -> Path:
    """Write a package of one module with the entry point of a plugin, and return its folder."""
    name = module.replace("_", "-")
    place = folder / name
    place.mkdir(parents=True)
    (place / f"{module}.py").write_text(source, "utf-8")
    (place / "pyproject.toml").write_text(
        f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"
dependencies = ["{requires}"]

[project.entry-points.textclf]
{module.removeprefix("textclf_")} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
""",
        "utf-8",
    )
    return place


def install(target: Path, *packages: Path) -> Installation:
    """Build and install packages into a folder, without network and without touching this environment."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target), *map(str, packages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return Installation(target)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Installation]:
    """Give a function that installs packages together, each set of them once for all tests."""
    known: dict[tuple[Path, ...], Installation] = {}

    def install_once(*packages: Path) -> Installation:
        if packages not in known:
            known[packages] = install(tmp_path_factory.mktemp("installed"), *packages)
        return known[packages]

    return install_once
