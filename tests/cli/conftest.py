"""What the tests of the command share: calling it in this process or as a real one, and plugins it really discovers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from textclf.cli.main import main

RECIPE = """\
# Tell invented words apart. Seconds on any machine.
name: toys
dataset: {use: toy_texts, size: 60}
encoder: toy_words
trainer: {use: toy_linear, epochs: 20}
metrics: [toy_accuracy]
"""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def install(folder: Path, **modules: str) -> Path:
    """Write a distribution whose entry points are these plugins (entry point = module), and return its folder."""
    about = folder / f"{'_'.join(modules)}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {'-'.join(modules)}\nVersion: 1.0\n")
    lines = [f"{name} = {module}" for name, module in modules.items()]
    (about / "entry_points.txt").write_text("\n".join(["[textclf]", *lines, ""]))
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the toy plugin, dependency-free and quick."""
    return install(tmp_path_factory.mktemp("site"), toy="textclf.testing.toy")


@pytest.fixture(autouse=True)
def _toys(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Call the command in this process."""

    def calling(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in arguments])
        return Answer(code, *capsys.readouterr())

    return calling


@pytest.fixture
def shell(site: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command as a process of its own, in the current folder."""

    def start(*arguments: str, also: Path = site, env: Mapping[str, str | None] | None = None, **streams: Any) -> Any:
        there: dict[str, str | None] = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{also}", **(env or {})}
        whole = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        environment = {name: value for name, value in there.items() if value is not None}
        return subprocess.Popen([sys.executable, "-m", "textclf", *arguments], env=environment, **whole)

    return start


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    (tmp_path / "toys.yaml").write_text(RECIPE, "utf-8")
    return "toys.yaml"


@pytest.fixture(scope="session")
def trained(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with finished runs: toys, several (multi-label), twos (pairs)."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "toys.yaml").write_text(RECIPE, "utf-8")
    more = "dataset.multi_label=true --set trainer.epochs=200"
    changes = {"toys": "seed=0", "several": more, "twos": "dataset.pairs=true"}
    code = "import sys; from textclf.cli.main import main; sys.exit(max(main(a.split()) for a in sys.argv[1:]))"
    words = [f"run toys.yaml --set name={name} --set {change}" for name, change in changes.items()]
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "TEXTCLF_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-c", code, *words], cwd=folder, env=env, check=True, capture_output=True)
    return folder / "runs"
