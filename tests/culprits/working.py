"""Components that do something beside their work."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from textclf.testing.toy import ToyAccuracy, ToyTexts, ToyWords

from .making import Culprit, wrong


class Settling(ToyWords):
    def fit(self, train: Any, context: Any) -> None:
        os.chdir("/")
        super().fit(train, context)


class Littering(ToyWords):
    def fit(self, train: Any, context: Any) -> None:
        Path("words.txt").write_text("good")
        super().fit(train, context)


class Seeding(ToyWords):
    def fit(self, train: Any, context: Any) -> None:
        np.random.seed(0)
        random.seed(0)
        super().fit(train, context)


class Talking(ToyAccuracy):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        print("measuring", len(predictions))
        return super().__call__(predictions, weights)


class Calling(ToyTexts):
    """Asks the net for something newer, and makes do without it."""

    def load(self, context: Any) -> Any:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", 9), timeout=0.01).close()
        return super().load(context)


WORKING: dict[str, Culprit] = {
    "work.world": wrong("encoder", Settling),
    "work.files": wrong("encoder", Littering),
    "work.chance": wrong("encoder", Seeding),
    "work.quiet": wrong("metric", lambda options: Talking()),
    "work.offline": wrong("dataset", Calling),
}
