"""The scoring loop: texts in batches of like length, longest first, and the network's scores in the texts' order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from textclf import Context, Labels, ResourceError, Stopped, TokenEncoder, Tokens

from .batches import scoring_batches
from .cpu.lanes import for_scoring, run_in_lanes
from .device import choose_layout, out_of_memory
from .loss import logits_of
from .meter import Reporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Tokens of one forward pass, at most: more gains nothing, and costs memory. On a CPU bf16 takes twice as many, whose
# states fill as much of its cache.
SCORING_BUDGET = {"cpu": 1024, "mps": 16_384, "cuda": 65_536}
LEAST = 256
Stage = Literal["score", "encode"]
_DOING: dict[Stage, str] = {"score": "scoring", "encode": "encoding"}


def score(
    network: torch.nn.Module,
    encoder: TokenEncoder,
    tokens: Tokens,
    labels: Labels,
    device: torch.device,
    context: Context,
    *,
    cast: bool = False,
) -> NDArray[np.float32]:
    """Return the probabilities of all texts, float32[n, labels]: softmax, or for multi-label tasks sigmoids.

    Up to the logits the network computes in the precision of its weights, or with `cast` in bf16 by autocast, from
    there in float32.
    """
    lengths = encoder.lengths(tokens)
    network.eval()
    dtype = next(network.parameters()).dtype
    layout, _ = choose_layout(encoder, device, network, dtype)

    def probabilities(rows: NDArray[np.int64]) -> torch.Tensor:
        batch = encoder.collate(tokens, rows, layout, device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=cast):
            logits = logits_of(network(**batch)).float()
        return logits.sigmoid() if labels.task == "multi-label" else logits.softmax(dim=1)

    count = for_scoring(network, encoder, device)
    half = cast or dtype == torch.bfloat16
    return in_batches(probabilities, lengths, len(labels), device, count, context, half=half)


def in_batches(
    answer: Callable[[NDArray[np.int64]], torch.Tensor],
    lengths: NDArray[np.int64],
    width: int,
    device: torch.device,
    threads: int,
    context: Context,
    stage: Stage = "score",
    *,
    half: bool = False,
) -> NDArray[np.float32]:
    """Return the answer for each text, float32[n, width], computed in batches of texts of like length.

    answer: a function of rows to a tensor [rows, width], called by up to `threads` threads at once. half: the network
    computes in bf16.
    """
    batches = scoring_batches(lengths, _budget(lengths, device, threads, half))
    threads = min(threads, max(1, len(batches)))
    queue = _Queue(answer, lengths, stage, deque(batches))
    report = Reporter(context, stage, len(lengths), "texts")
    with ThreadPoolExecutor(max(1, threads - 1), _DOING[stage]) as pool:
        progress = partial(_report, report, context, stage)
        run_in_lanes(pool, threads, lambda lane: queue.work(None if lane else progress))
    answers = np.empty((len(lengths), width), np.float32)
    if queue.found:
        order, found = zip(*queue.found, strict=True)
        answers[np.concatenate(order)] = torch.cat(found).cpu().numpy()
    return answers


@dataclass(slots=True)
class _Queue:
    """Batches to score and their answers, for any number of threads."""

    answer: Callable[[NDArray[np.int64]], torch.Tensor]
    lengths: NDArray[np.int64]
    stage: Stage
    batches: deque[NDArray[np.int64]]
    found: list[tuple[NDArray[np.int64], torch.Tensor]] = field(default_factory=list)
    broken: bool = False

    def work(self, progress: Callable[[int, int], None] | None) -> None:
        """Score batches until there are none; `progress` gets all texts so far, and the tokens since its last call."""
        reported = texts = 0
        try:
            with torch.inference_mode():
                while self.batches and not self.broken:
                    self._next()
                    if progress:
                        new = self.found[reported:]
                        reported += len(new)
                        texts += sum(len(rows) for rows, _ in new)
                        progress(texts, sum(int(self.lengths[rows].sum()) for rows, _ in new))
        except BaseException:
            self.broken = True
            raise

    def _next(self) -> None:
        try:
            rows = self.batches.popleft()
        except IndexError:
            return  # another thread has taken the last one
        try:
            # They stay on the device until the end: fetching them here would make a GPU wait for the next batch.
            self.found.append((rows, self.answer(rows)))
        except RuntimeError as error:
            if not out_of_memory(error) or len(rows) == 1:
                raise _no_memory(error, int(self.lengths[rows].max()), self.stage) from None
            self.batches.extendleft(np.array_split(rows, 2)[::-1])


def _report(report: Reporter, context: Context, stage: Stage, texts: int, tokens: int) -> None:
    report(texts, tokens=tokens)
    if context.stopping():
        raise Stopped(f"stopped while {_DOING[stage]} texts")


def _budget(lengths: NDArray[np.int64], device: torch.device, count: int, half: bool) -> int:
    """Return how many tokens a batch may have: fewer where some threads would get no batch."""
    most = SCORING_BUDGET[device.type] * (2 if half and device.type == "cpu" else 1)
    return min(most, max(LEAST, int(lengths.sum()) // count))


def _no_memory(error: RuntimeError, length: int, stage: Stage) -> Exception:
    if not out_of_memory(error):
        return error
    return ResourceError(f"not enough memory to {stage} one text of {length} tokens; lower encoder.max_length")
