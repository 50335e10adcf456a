"""Compares textclf's scoring with `transformers.pipeline`: MiniLM, short and long texts, tokenising included.

    python benchmarks/scoring.py                    # 40 minutes on two AVX2 cores, the training of a model included
    python benchmarks/scoring.py --model FOLDER     # a model that is there already

The pipeline is measured with its defaults (float32, one text at a time) and at the best settings of a search in the
same run: the best in float32, and the best of all. Ours is measured in float32 and with `fast`. Then all texts are
scored once by each, and it is counted on how many the fast one and bf16 decide otherwise than float32.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import texts
from expert import DROWNED
from measuring import Peak, Shape, alternate, estimate, ratios, say
from peers.talking import Side, TooSlow

Settings = Mapping[str, Any]
BATCHES = (1, 8, 32, 64)
BLOCKS = {"short": 512, "long": 128}


@dataclass(frozen=True, slots=True)
class Case:
    model: Path
    folder: Path
    block: int
    device: str
    seconds: float


class Scorer:
    """A side that scores blocks of texts, each time the next ones."""

    def __init__(self, side: Side, case: Case, settings: Settings, lengths: Sequence[int] = ()) -> None:
        self._side, self._block, self._next = side, case.block, 0
        about = side.ask(
            "load", model=str(case.model), data=str(case.folder), settings=dict(settings), device=case.device
        )
        self.lengths = list(about.get("lengths", lengths))
        # What is done once, such as choosing an arithmetic, belongs to no block.
        side.ask("score", first=0, count=2, within=case.seconds)

    def rate(self, within: float | None = None) -> float:
        """Return the real tokens a second of the next block."""
        first = self._next
        self._next = 0 if first + 2 * self._block > len(self.lengths) else first + self._block
        found = self._side.ask("score", first=first, count=self._block, within=within)
        return sum(self.lengths[first : first + self._block]) / float(found["seconds"])

    def labels(self) -> tuple[list[str], list[float]]:
        """Return what is said of every text, and, of ours, by which margin."""
        found = self._side.ask("score", first=0, count=len(self.lengths))
        return found["labels"], found.get("margins", [])


def candidates(modes: Mapping[str, float], batches: Sequence[int]) -> Iterator[Settings]:
    """Yield what can be set on a pipeline, bf16 last, and not at all where its products are hopeless."""
    drowned = modes["bf16"] * DROWNED < max(modes.values())
    for bf16 in (False,) if drowned else (False, True):
        for matmul in ("highest",) if bf16 else ("highest", "medium"):
            for size in batches:
                yield {"bf16": bf16, "matmul": matmul, "batch_size": size, "sorted": size > 1}


def search(case: Case, lengths: Sequence[int], wanted: Sequence[Settings]) -> tuple[Settings, Settings]:
    """Return the pipeline's fastest settings in float32, and of all."""
    rates: list[tuple[float, Settings]] = []
    side = Side("pipeline.py")
    for settings in wanted:
        try:
            rate = Scorer(side, case, settings, lengths).rate(within=case.seconds)
        except TooSlow:
            rate, side = 0.0, Side("pipeline.py")
        rates.append((rate, settings))
        say(f"  {rate:7.0f} tokens/s  {settings}" + ("  (given up)" if rate == 0 else ""))
    side.close()
    ordered = [settings for _, settings in sorted(rates, key=lambda pair: -pair[0])]
    return next(settings for settings in ordered if not settings["bf16"]), ordered[0]


def compare(kind: str, case: Case, pairs: int, batches: Sequence[int]) -> None:
    with ExitStack() as stack:
        mine, fast, usual, float32, best = (
            stack.enter_context(Side(script)) for script in ("ours_scoring.py",) * 2 + ("pipeline.py",) * 3
        )
        ours = Scorer(mine, case, {"fast": False})
        lengths = ours.lengths
        modes = Peak(Shape(6, 384, 1536), 1024, case.device).burst()
        say(f"{kind} texts: {sum(lengths) / len(lengths):.0f} tokens each; searching the pipeline's best settings:")
        in_float32, of_all = search(case, lengths, list(candidates(modes, batches)))
        sides = {
            "ours": ours, "ours fast": Scorer(fast, case, {"fast": True}),
            "default": Scorer(usual, case, {}, lengths), "best float32": Scorer(float32, case, in_float32, lengths),
        }  # fmt: skip
        if of_all != in_float32:
            sides["best"] = Scorer(best, case, of_all, lengths)
        found = []
        for pair in alternate({name: side.rate for name, side in sides.items()}, pairs):
            found.append(pair)
            say(f"pair {len(found):2}: " + ", ".join(f"{name} {rate:.0f}" for name, rate in pair.items()) + " tokens/s")
        _report(kind, found, in_float32, of_all)
        decided = {name: side.labels() for name, side in sides.items() if name in ("ours", "ours fast", "default")}
        if of_all["bf16"]:
            decided["best"] = sides["best"].labels()
        _disagreements(decided)


def _report(kind: str, found: Sequence[Mapping[str, float]], in_float32: Settings, of_all: Settings) -> None:
    columns = {name: [pair[name] for pair in found] for name in found[0]}
    columns.setdefault("best", columns["best float32"])
    say(f"{kind} texts; the pipeline's best: {of_all}; in float32: {in_float32}")
    for name, rates in columns.items():
        say(f"  {name}: {estimate(rates).median:.0f} real tokens/s")
    for ours, theirs in (
        ("ours fast", "default"), ("ours fast", "best"), ("ours", "best float32"), ("ours", "default"),
    ):  # fmt: skip
        say(f"  {ours} over the pipeline's {theirs}: {ratios(columns[ours], columns[theirs])}")


def _disagreements(decided: Mapping[str, tuple[list[str], list[float]]]) -> None:
    labels, margins = decided["ours"]
    for name in ("ours fast", "default", "best"):
        if name not in decided:
            say(f"  the pipeline's {name} is float32: no bf16 to compare with")
            continue
        other = [row for row, label in enumerate(decided[name][0]) if label != labels[row]]
        widest = max((margins[row] for row in other), default=0.0)
        share = f"{len(other)} of {len(labels)} texts"
        say(f"  {name} decides {share} otherwise than our float32, where its margin is at most {widest:.4f}")


def train(folder: Path) -> Path:
    """Train a model to score with: one pass over the film sentences."""
    from textclf import Engine

    engine = Engine(runs=folder / "runs", cache=folder / "cache", offline=True)
    done = engine.run("reviews_minilm", overrides=["trainer.epochs=1", "encoder.max_length=512"])
    return done.folder / "model"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", type=Path, help="a model folder; without it one is trained")
    parser.add_argument("--texts", choices=("short", "long", "both"), default="both")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--block", type=int, help="texts of a block")
    parser.add_argument("--rows", type=int, default=2048, help="texts in all")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), help="batch sizes the pipeline tries")
    parser.add_argument("--trial-seconds", type=float, default=120, help="most for one trial of the pipeline")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    chosen = parser.parse_args(arguments)
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = chosen.model or train(folder)
        sentences, test = texts.short(folder)
        for kind in ("short", "long") if chosen.texts == "both" else (chosen.texts,):
            scored = test.take(chosen.rows) if kind == "short" else texts.long(test, chosen.rows // 2)
            into = texts.write(folder / kind, sentences.take(1), scored)
            block = min(chosen.block or BLOCKS[kind], len(scored))
            compare(kind, Case(model, into, block, chosen.device, chosen.trial_seconds), chosen.pairs, chosen.batches)


if __name__ == "__main__":
    main(sys.argv[1:])
