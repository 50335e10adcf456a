"""Owns what any torch plugin needs of the machine: device, arithmetic, memory errors, and the scoring loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from textclf import Context, Labels, Layout, Progress, ResourceError, Stopped, TokenEncoder, Tokens

from .batches import scoring_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

Device = Literal["auto", "cuda", "cpu", "mps"]
Precision = Literal["float32", "bf16", "fp16"]
# Tokens of one packed forward and backward pass, at most: more gains nothing on a CPU, and costs memory.
PACKED_BUDGET = 4096
SCORING_BUDGET = {"cpu": 2048, "mps": 16_384, "cuda": 65_536}


def choose_device(wanted: Device) -> torch.device:
    """Return the device that an option names; a ResourceError with the way out where it is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        why = "finds no NVIDIA GPU" if built else "is a build without CUDA"
        raise ResourceError(f"trainer.device is 'cuda', but PyTorch {torch.__version__} {why}; set it to auto or cpu")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise ResourceError("trainer.device is 'mps', but PyTorch finds no Apple GPU; set it to auto or cpu")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def device_for_use(wanted: Device) -> torch.device:
    """Return the device of a saved model: the one it was trained on, or the CPU where that is not here."""
    try:
        return choose_device(wanted)
    except ResourceError:
        return torch.device("cpu")


def choose_layout(encoder: TokenEncoder, device: torch.device) -> Layout:
    """Return the layout of batches: packed on the CPU where the encoder can, since no product is then of padding.

    On a GPU packed rows need attention of variable length; until that is there, they are padded.
    """
    return "packed" if device.type == "cpu" and "packed" in encoder.layouts else "padded"


@contextmanager
def matmul_precision(mode: str, device: torch.device) -> Iterator[None]:
    """Set how float32 matrices are multiplied on the CPU; the setting is the process's, so it is put back."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cpu":
        torch.set_float32_matmul_precision(mode)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, and give back their states: another engine in this process may be using them."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error says that a device has no memory left; the CPU's allocator has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def score(
    network: torch.nn.Module,
    encoder: TokenEncoder,
    tokens: Tokens,
    labels: Labels,
    device: torch.device,
    context: Context,
) -> NDArray[np.float32]:
    """Return the probabilities of all texts, float32[n, labels]: softmax, or for multi-label tasks sigmoids."""
    lengths = encoder.lengths(tokens)
    scores = np.empty((len(tokens), len(labels)), np.float32)
    budget, done, report = SCORING_BUDGET[device.type], 0, Reporter(context, "score", len(tokens), "texts")
    network.eval()
    layout = choose_layout(encoder, device)
    batches = scoring_batches(lengths, budget)[::-1]
    with torch.inference_mode():
        while batches:
            rows = batches.pop()
            try:
                logits = logits_of(network(**encoder.collate(tokens, rows, layout, device))).float()
            except RuntimeError as error:
                if not out_of_memory(error) or len(rows) == 1:
                    raise _no_memory(error, int(lengths[rows].max())) from None
                batches += np.array_split(rows, 2)[::-1]
                continue
            probabilities = logits.sigmoid() if labels.task == "multi-label" else logits.softmax(dim=1)
            scores[rows] = probabilities.cpu().numpy()
            done += len(rows)
            report(done, tokens=int(lengths[rows].sum()))
            if context.stopping():
                raise Stopped("stopped while scoring texts")
    return scores


def _no_memory(error: RuntimeError, length: int) -> Exception:
    if not out_of_memory(error):
        return error
    return ResourceError(f"not enough memory to score one text of {length} tokens; lower encoder.max_length")


def logits_of(output: Any) -> torch.Tensor:
    """Return the logits of a network's answer: the answer itself, or its field of that name."""
    logits: torch.Tensor = output if isinstance(output, torch.Tensor) else output.logits
    return logits


class Reporter:
    """Progress events, at most three a second, with the real tokens a second since the last."""

    def __init__(self, context: Context, stage: str, total: int, unit: str) -> None:
        self._context, self._stage, self._total, self._unit = context, stage, total, unit
        self._at, self._tokens = time.monotonic(), 0

    def __call__(self, done: int, tokens: int, loss: Callable[[], float] | None = None) -> None:
        self._tokens += tokens
        passed = time.monotonic() - self._at
        if passed < 0.34:
            return
        self._context.emit(
            Progress(
                stage=self._stage,
                done=done,
                total=self._total,
                unit=self._unit,
                loss=loss() if loss else None,
                tokens_per_second=self._tokens / passed,
            )
        )
        self._at, self._tokens = time.monotonic(), 0
