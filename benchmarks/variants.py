"""Compares our own training with itself in another way, so that each choice of speed is a figure: MiniLM, the CPU.

    python benchmarks/variants.py layout              # packed rows against padded groups of like length
    python benchmarks/variants.py lanes               # threads that share a batch against all threads on each product
    python benchmarks/variants.py matmul              # float32 products by oneDNN against the default library's
    python benchmarks/variants.py precision           # bf16 against float32
    python benchmarks/variants.py kernels             # compiled kernels against torch's own operators

Ten minutes each on two AVX2 cores: ten pairs of blocks, alternating. Both take the same effective batches; real tokens
a second, padding never counts. Prints the median ratio with a bootstrap interval.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import alternate, ratios, say
from sides import launch_ours, ours
from training import case_of, parser_of

# Of each choice two ways by name: options of the trainer, or `layout`.
WAYS: dict[str, dict[str, dict[str, Any]]] = {
    "layout": {"packed": {"layout": "packed"}, "padded": {"layout": "padded"}},
    "lanes": {"two lanes": {"lanes": 2}, "one lane": {"lanes": 1}},
    "matmul": {"medium": {"matmul": "medium"}, "highest": {"matmul": "highest"}},
    "kernels": {"native": {"kernels": "native"}, "torch": {"kernels": "torch"}},
    "precision": {"bf16": {"precision": "bf16"}, "float32": {"precision": "float32"}},
}


def main(arguments: Sequence[str]) -> None:
    parser = parser_of(str(__doc__))
    parser.add_argument("choice", choices=WAYS)
    parser.add_argument("--texts", choices=("short", "long"), default="short")
    chosen = parser.parse_args(arguments)
    ways = WAYS[chosen.choice]
    with TemporaryDirectory() as folder, launch_ours() as one, launch_ours() as other:
        case = case_of(chosen.texts, Path(folder), chosen)
        sides = {}
        for (name, options), side in zip(ways.items(), (one, other), strict=True):
            asked = {key: value for key, value in options.items() if key == "layout"}
            trainer = {key: value for key, value in options.items() if key != "layout"}
            sides[name] = ours(side, replace(case, trainer=trainer), **asked)
        for training in sides.values():
            training.run(2)
        found = []
        for pair in alternate({name: side.rate for name, side in sides.items()}, chosen.pairs):
            found.append(pair)
            rates = ", ".join(f"{name} {rate:6.0f}" for name, rate in pair.items())
            say(f"pair {len(found):2}: {rates} tokens/s")
    say(f"{' over '.join(ways)}: {ratios(*([pair[name] for pair in found] for name in ways))}")


if __name__ == "__main__":
    main(sys.argv[1:])
