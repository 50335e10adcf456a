"""Devices: which one, its memory, its random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch

from textclf import Layout, ResourceError, TokenEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

Device = Literal["auto", "cuda", "cpu", "mps"]
Precision = Literal["float32", "bf16", "fp16"]


def choose_device(wanted: Device, option: str = "trainer.device") -> torch.device:
    """Return the device that an option names; a ResourceError with a hint where it is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        why = "finds no NVIDIA GPU" if built else "is a build without CUDA"
        raise ResourceError(f"{option} is 'cuda', but PyTorch {torch.__version__} {why}; set it to auto or cpu")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise ResourceError(f"{option} is 'mps', but PyTorch finds no Apple GPU; set it to auto or cpu")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def device_for_use(wanted: Device) -> torch.device:
    """Return the device of a saved model: the one it was trained on, or the CPU where that is not here."""
    try:
        return choose_device(wanted)
    except ResourceError:
        return torch.device("cpu")


def choose_layout(
    encoder: TokenEncoder, device: torch.device, network: torch.nn.Module, dtype: torch.dtype = torch.float32
) -> tuple[Layout, str]:
    """Return the layout of batches, and why: packed where the encoder can, since no text is padded then.

    On a GPU that depends on the attention there, so the encoder tells by `why_padded` about this network in this
    arithmetic; without that method batches are padded.
    """
    if "packed" not in encoder.layouts:
        return "padded", getattr(encoder, "unpacked", "") or "its encoder makes no other batches"
    if device.type == "cpu":
        return "packed", "no text is padded"
    why_padded = getattr(encoder, "why_padded", None)
    if device.type != "cuda" or not why_padded:
        return "padded", f"packed rows were not tried on {device.type}"
    why = why_padded(network, dtype)
    return ("padded", why) if why else ("packed", "no text is padded")


@contextmanager
def matmul_precision(mode: str, device: torch.device) -> Iterator[None]:
    """Set how float32 matrices are multiplied on the CPU, and restore the process's setting at the end.

    On other devices they are multiplied in float32, whatever the process had set: TF32 has a tenth of its digits.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(mode if device.type == "cpu" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch's operators run in the calling thread alone: on small tensors, threads wait longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, and restore their states: another engine in this process may be using them."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def moved(values: NDArray[Any] | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return an array or a tensor on a device; a GPU copies it from pinned memory, so the host does not wait for it."""
    here = torch.as_tensor(values)
    pinned = here.pin_memory() if here.device.type == "cpu" and device.type == "cuda" else here
    return pinned.to(device, non_blocking=True)


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error says that a device has no memory left; the CPU's allocator has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
