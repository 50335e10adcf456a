"""Compares training of BERT-base on CUDA with Hugging Face's Trainer: random weights, texts of IMDB's lengths.

    python benchmarks/gpu.py               # about ten minutes on an H200
    python benchmarks/gpu.py --profile     # also which operators our time goes to

As training.py; the expert also tries torch.compile, loader processes and padding to multiples of eight.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import say
from training import case_of, compare, extent_of, parser_of

ROWS, BLOCK = 12_800, 2048


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(str(__doc__))
    parser.add_argument("--batch", type=int, default=64, help="texts of a step where the expert does not take more")
    parser.set_defaults(device="cuda", rows=ROWS, block=BLOCK)
    chosen = parser.parse_args(arguments)
    import torch

    if chosen.device == "cuda" and not torch.cuda.is_available():
        print("this benchmark needs an NVIDIA GPU, and PyTorch finds none here", file=sys.stderr)
        return 2
    from networks import BERT_BASE, random_bert

    with TemporaryDirectory() as name:
        folder = Path(name)
        chosen.checkpoint = chosen.checkpoint or str(random_bert(folder / "bert-base", BERT_BASE))
        if chosen.device == "cuda":
            say(torch.cuda.get_device_name())
        compare(replace(case_of("long", folder, chosen), batch_size=chosen.batch), extent_of(chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
