"""The trainer `torch`: fine-tunes a token encoder's network on CUDA, the CPU or Apple's GPU."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from textclf import Component, Traits

from .options import TorchOptions, check

if TYPE_CHECKING:
    from .trainer import TorchTrainer


def traits(options: TorchOptions) -> Traits:
    return Traits(
        reads=frozenset({"tokens"}),
        tasks=frozenset({"single-label", "multi-label"}),
        pairs=True,
        objectives=True,
        uses_validation=options.early_stopping is not None,
    )


def build(options: TorchOptions) -> TorchTrainer:
    from .trainer import TorchTrainer

    return TorchTrainer(options)


def kernels() -> str:
    """Return the level of the compiled kernels on this machine, or that there are none."""
    try:
        module = import_module("textclf_kernels")
    except ModuleNotFoundError:
        return "without kernels"
    try:
        return f"kernels {module.level()}"
    except module.Unavailable as error:
        return f"without kernels: {error}"


def textclf_trainers() -> list[Component[TorchTrainer, TorchOptions]]:
    return [
        Component(
            name="torch",
            summary="train a network on tokens, on CUDA where there is one",
            options=TorchOptions,
            build=build,
            check=check,
            traits=traits,
            state=kernels,
            needs=("torch", "safetensors"),
            install="torch>=2.10 safetensors>=0.5",
        )
    ]
