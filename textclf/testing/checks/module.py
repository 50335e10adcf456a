"""Owns what a check of a plugin works on: its module, how it looks from a fresh interpreter, and a run to observe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from ...plugin.registry import Offer
from ...plugin.single_file import is_loose
from ..clauses import Broken, NotApplicable
from ..finished import finished_folder


class PluginModule:
    """A plugin under check; the look from a fresh interpreter is taken once. others: what other plugins offer."""

    def __init__(self, module: ModuleType, others: Sequence[Offer] = ()) -> None:
        self.module, self.others, self._numbers = module, others, count()

    def __str__(self) -> str:
        file = Path(str(self.module.__file__)) if is_loose(self.module) else None
        return f"plugin {file.stem} ({file.name})" if file else f"plugin {self.module.__name__}"

    @cached_property
    def probed(self) -> dict[str, list[str]]:
        return _probe(self.module)

    @property
    def run(self) -> Path:
        """Return the folder of a run that nobody has observed; it is there for as long as the examination."""
        folder = self._finished.with_name(f"check-{next(self._numbers)}")
        shutil.copytree(self._finished, folder)
        (folder / "checkpoints" / "ck-000001").mkdir(parents=True)
        return folder

    @cached_property
    def _finished(self) -> Path:
        return finished_folder(Path(self._home.name).resolve() / "runs")

    @cached_property
    def _home(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="textclf-check-", ignore_cleanup_errors=True)


def _probe(module: ModuleType) -> dict[str, list[str]]:
    """Import the module and call its hooks in a fresh interpreter; return what that loaded and did."""
    loose = is_loose(module)
    if not loose and (module.__spec__ is None or find_spec(module.__name__) is None):
        raise NotApplicable("it cannot be imported by name")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "textclf.testing.probe", str(module.__file__) if loose else module.__name__]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise Broken(f"in a fresh interpreter it fails: {(said or 'no message').splitlines()[-1]}")
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found
