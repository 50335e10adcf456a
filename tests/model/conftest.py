"""A classifier of the toy plugin, which the tests of a module share."""

from __future__ import annotations

import pytest

from tests.toys import engine, recipe
from textclf import Classifier


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = tmp_path_factory.mktemp("toy")
    return engine(runs=folder / "runs", cache=folder / "cache").run(recipe()).classifier
