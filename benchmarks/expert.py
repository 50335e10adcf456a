"""The expert's search: which settings of Hugging Face's Trainer train fastest on this machine and these texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from statistics import median

from peers.talking import Side, TooSlow
from sides import Case, Settings, launch_trainer, trainer

DROWNED = 4  # bf16 products that much slower than float32 ones: no training in bf16 can win
BATCHES = {"cpu": (8, 16, 32, 64), "cuda": (16, 32, 64, 128)}
START: Settings = {
    "batch_size": 32, "accumulate": 1, "sampling": "group_by_length", "optim": "adamw_torch_fused", "bf16": False,
    "matmul": "highest", "attention": "sdpa", "attention_dropout": 0.0, "threads": None, "compile": False,
}  # fmt: skip


def axes(case: Case, modes: dict[str, float]) -> Iterator[tuple[str, list[Settings]]]:
    """Yield what the expert tries, in turn, each on top of the best so far; `modes`: the matrix peak of each mode."""
    cpu = case.device == "cpu"
    drowned = modes["bf16"] * DROWNED < max(modes.values())
    yield "bf16", [] if drowned else [{"bf16": True}]
    yield "matmul", [{"matmul": "medium" if cpu else "high"}]
    yield "attention", [{"attention": "eager"}]
    yield "batch size", [batch(size, case.batch_size) for size in BATCHES["cpu" if cpu else "cuda"]]
    yield "sampling", [{"sampling": "random"}]
    yield "optimiser", [{"optim": "adamw_torch"}]
    if cpu:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        yield "threads", [{"threads": count} for count in sorted({cores, max(1, cores // 2)})]
    else:
        yield "padding", [{"multiple": 8}]
        yield "loading", [{"workers": 2}]
        yield "compile", [{"compile": True}]


def batch(size: int, effective: int) -> Settings:
    """Return passes of `size` texts that make a step of `effective` texts, or one of more where a pass is larger."""
    return {"batch_size": size, "accumulate": max(1, effective // size)}


def search(
    case: Case, modes: dict[str, float], seconds: float, say: Callable[[str], None], *, short: bool = False
) -> tuple[Settings, float]:
    """Return the fastest settings and their tokens a second; a trial longer than `seconds` is given up.

    short: two trials only.
    """
    tried: dict[str, float] = {}
    best: Settings = {**START, **batch(case.batch_size, case.batch_size)}
    with Trials(case, seconds) as trials:
        fastest = tried[_key(best)] = trials.rate(best)
        reached = [(fastest, best)]
        say(f"  {fastest:7.0f} tokens/s  {_named(best)}")
        for name, changes in list(axes(case, modes))[: 2 if short else None]:
            if not changes:
                slower = max(modes.values()) / modes["bf16"]
                say(f"          bf16 not tried: its products are {slower:.0f} times slower")
            for change in changes:
                settings = {**best, **change}
                if _key(settings) in tried:
                    continue
                rate = tried[_key(settings)] = trials.rate(settings)
                say(f"  {rate:7.0f} tokens/s  {name}: {_named(change)}" + ("  (given up)" if rate == 0 else ""))
                if rate > fastest:
                    best, fastest = settings, rate
                reached.append((rate, settings))
        best, fastest = _final(trials, sorted(reached, key=lambda pair: -pair[0])[:3])
    say(f"  the expert's best: {_named(best)} ({fastest:.0f} tokens/s)")
    return best, fastest


def _final(trials: Trials, candidates: list[tuple[float, Settings]], times: int = 2) -> tuple[Settings, float]:
    """Measure the best few again, in turn, so that no lucky moment of the machine decides for a slower one.

    Returns the best, and its median.
    """
    rates = [[rate] for rate, _ in candidates]
    for _ in range(times if len(candidates) > 1 else 0):
        for (_, settings), found in zip(candidates, rates, strict=True):
            found.append(trials.rate(settings))
    medians = [median(found) for found in rates]
    at = medians.index(max(medians))
    return candidates[at][1], medians[at]


class Trials:
    """One process that tries settings one after the other; a new one where a trial had to be given up."""

    def __init__(self, case: Case, seconds: float) -> None:
        self._case, self._seconds = case, seconds
        self._side: Side = launch_trainer()

    def rate(self, settings: Settings) -> float:
        """Return real tokens a second over one block; 0 where it did not end in time."""
        try:
            training = trainer(self._side, self._case, settings)
            training.run(1, within=self._seconds)
            found = training.run(within=self._seconds).rate
            training.end()
        except TooSlow:
            self._side = launch_trainer()
            return 0.0
        return found

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *_: object) -> None:
        self._side.close()


def _key(settings: Settings) -> str:
    return repr(sorted(settings.items(), key=lambda item: item[0]))


def _named(settings: Settings) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
