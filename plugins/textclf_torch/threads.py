"""Owns how threads of the CPU work beside one another, each with its share of the cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from .products import shapes_in

LARGE = 1 << 16
T = TypeVar("T")


def abreast(pool: ThreadPoolExecutor, count: int, work: Callable[[int], T]) -> list[T]:
    """Do the work of each lane with its share of the threads, the first in this thread; return when all have ended."""
    threads = torch.get_num_threads()

    def lane(number: int) -> T:
        torch.set_num_threads(max(1, threads // count))  # those of the thread that calls
        return work(number)

    try:
        others = [pool.submit(lane, number) for number in range(1, count)]
        try:
            found = [lane(0)]
        finally:
            # Nothing may run on once an error is on its way: the work may be done again.
            wait(others)
        return found + [other.result() for other in others]
    finally:
        torch.set_num_threads(threads)


def futile(network: torch.nn.Module, threads: int) -> str:
    """Say why threads would gain nothing by working on texts of their own, or return an empty string."""
    if threads < 2:
        return "there is one thread"
    large = any(out * into >= LARGE for out, into in shapes_in(network))
    return "" if large else "the network is small"


def for_scoring(network: torch.nn.Module, encoder: object, device: torch.device) -> int:
    """Return how many threads may score batches beside one another, each with one core, where `encoder.concurrent`."""
    threads = torch.get_num_threads()
    alone = device.type != "cpu" or not getattr(encoder, "concurrent", False) or futile(network, threads)
    return 1 if alone else threads
