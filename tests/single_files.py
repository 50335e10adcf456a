"""The python files that tests give as plugins: a whole encoder in a dozen lines, and how it is written down."""

from __future__ import annotations

import hashlib
from pathlib import Path

SHAPE = '''
from dataclasses import dataclass

import numpy as np

from textclf import Component, Field, Options, Traits


class ShapeOptions(Options):
    scale: float = Field(1.0, gt=0, le=9, description="what counts are multiplied by")


@dataclass
class Shape:
    options: ShapeOptions

    def fit(self, train, context):
        """Nothing is learnt."""

    def encode(self, texts, context):
        return np.array([[text.count(c) * self.options.scale for c in "aeioun"] for text in texts.first], np.float32)

    def fingerprint(self):
        return f"shape {self.options.scale}"

    def save(self, folder):
        """The options are all there is."""


def textclf_encoders():
    return [Component(name="shape", options=ShapeOptions, build=Shape, traits=Traits(makes="matrix"))]
'''


def write(file: str | Path, source: str = SHAPE) -> str:
    """Write a file and return its sha256."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(source, "utf-8")
    return hashlib.sha256(source.encode()).hexdigest()
