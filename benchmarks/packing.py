"""Compares training on packed rows with training on padded groups of like length: MiniLM, the film sentences, the CPU.

    python benchmarks/packing.py                  # ten minutes on two AVX2 cores: ten pairs of blocks, alternating

Both take the same effective batches; real tokens a second, padding never counts. Prints the median ratio with
a bootstrap interval.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import alternate, ratios
from sides import launch_ours, ours
from training import case_of, parser_of, say

LAYOUTS = ("packed", "padded")


def main(arguments: Sequence[str]) -> None:
    chosen = parser_of(str(__doc__)).parse_args(arguments)
    with TemporaryDirectory() as folder, launch_ours() as one, launch_ours() as other:
        case = case_of("short", Path(folder), chosen)
        sides = {name: ours(side, case, layout=name) for name, side in zip(LAYOUTS, (one, other), strict=True)}
        for side in sides.values():
            side.run(2)
        found = []
        for pair in alternate({name: side.rate for name, side in sides.items()}, chosen.pairs):
            found.append(pair)
            say(f"pair {len(found):2}: packed {pair['packed']:6.0f}, padded {pair['padded']:6.0f} tokens/s")
    say(f"packed over padded: {ratios(*([pair[name] for pair in found] for name in LAYOUTS))}")


if __name__ == "__main__":
    main(sys.argv[1:])
