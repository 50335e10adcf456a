"""The trainer `torch`: fine-tunes a token encoder's network on CUDA, the CPU or Apple's GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from textclf import Component, Field, Options, Traits

from .problems import check

if TYPE_CHECKING:
    from .trainer import TorchTrainer

Decay = Annotated[float, Field(ge=0, lt=1)]


class TorchOptions(Options):
    """The options of `torch`."""

    device: Literal["auto", "cuda", "cpu", "mps"] = Field("auto", description="auto: CUDA where there is one, else CPU")
    devices: int = Field(1, ge=1, le=64, description="processes that share each batch, one a GPU")
    epochs: float = Field(3, gt=0, le=10_000, description="passes over the training texts; 0.5 is half a pass")
    batch_size: int = Field(32, ge=1, description="texts in one step of the optimiser")
    micro_batch: int | None = Field(
        None, ge=1, description="texts in one forward pass, at most; the gradient is that of the whole batch"
    )
    learning_rate: float = Field(2e-5, gt=0, lt=10, description="AdamW's step size, at its highest")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="how it falls after the warm-up")
    warmup: float = Field(0.1, ge=0, le=1, description="share of all steps in which the learning rate rises")
    weight_decay: float = Field(0.01, ge=0, lt=1, description="not applied to biases and norms")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="AdamW's decay rates of its two averages")
    epsilon: float = Field(1e-8, gt=0, lt=1, description="AdamW's term against division by zero")
    max_grad_norm: float | None = Field(1.0, gt=0, description="longer gradients are cut to this norm; null: never")
    precision: Literal["auto", "float32", "bf16", "fp16"] = Field(
        "auto", description="arithmetic of training; auto: bf16 where it was measured to pay; scores are always float32"
    )
    matmul: Literal["auto", "highest", "medium"] = Field(
        "auto", description="float32 products of training on the CPU; auto: medium where it is exact and pays"
    )
    lanes: int | None = Field(
        None, ge=1, le=64, description="on the CPU, threads that each carry a share of a batch; null: two if that pays"
    )
    class_weights: Literal["none", "balanced"] = Field("none", description="balanced: rare labels count for more")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of certainty that targets give away")
    early_stopping: int | None = Field(None, ge=1, description="stop after so many epochs without a better validation")
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="steps between checkpoints; null: at epochs' ends and in between, so rarely that saving takes "
        "about 1 % of the time, and so often that at most 5 minutes of work can be lost",
    )


def traits(options: TorchOptions) -> Traits:
    return Traits(
        reads=frozenset({"tokens"}),
        tasks=frozenset({"single-label", "multi-label"}),
        pairs=True,
        uses_validation=options.early_stopping is not None,
    )


def build(options: TorchOptions) -> TorchTrainer:
    from .trainer import TorchTrainer

    return TorchTrainer(options)


def textclf_trainers() -> list[Component[TorchTrainer, TorchOptions]]:
    return [
        Component(
            name="torch",
            summary="fine-tune a pretrained network with AdamW, on CUDA where there is one",
            options=TorchOptions,
            build=build,
            check=check,
            traits=traits,
            needs=("torch", "safetensors"),
            install="torch>=2.10 safetensors>=0.5",
        )
    ]
