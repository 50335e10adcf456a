"""The trainer behind `torch`, and its model."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch

from textclf import (
    ArtefactError,
    Attributions,
    Chosen,
    Context,
    Encoded,
    Encoder,
    Labels,
    Layout,
    Objective,
    TokenEncoder,
    Tokens,
)

from . import checkpoint, explain, loop, precision
from .accounts import scored
from .cpu import agreement, lanes
from .device import choose_device, choose_layout, device_for_use, matmul_precision, own_randomness
from .distributed.leader import with_workers
from .distributed.team import SingleProcess, Team
from .job import Job, equipped, steps_of
from .layers import NOTHING, UnfreezeSchedule, layers_of
from .loss import EncoderObjective, LabelObjective, TrainingObjective, objectives_of, options_of
from .optimizer import make_optimizer
from .precision import working_copy
from .scoring import score
from .state import State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .options import TorchOptions

FORMAT = 1
_FIRST_SCORES = threading.Lock()  # of no model: a model can be copied


class TorchTrainer:
    """A Trainer for every TokenEncoder."""

    def __init__(self, options: TorchOptions) -> None:
        self._options = options

    def train(
        self, encoder: Encoder, train: Encoded, validation: Encoded | None, labels: Labels, context: Context
    ) -> TorchModel:
        """Fine-tune a network on the training split, and evaluate each epoch on the validation split, if any."""
        device = choose_device(self._options.device)
        tokens = cast("TokenEncoder", encoder)
        with own_randomness(context.seed, device):
            network = tokens.build_network(labels).to(device)
            found = context.checkpoints.latest() if context.checkpoints else None
            numbers = (
                checkpoint.arithmetic_of(found)
                if found
                else precision.choose(self._options.precision, self._options.matmul, network, device, context)
            )
            if found:
                layout = checkpoint.layout_of(found)
                agreement.check_again(numbers, network, tokens, layout)
            else:
                layout, why = choose_layout(tokens, device, network.train(), numbers.dtype)
                context.emit(Chosen(what="layout", choice=layout, why=why))
                numbers = agreement.choose(self._options, numbers, network, tokens, layout, context)
                numbers = lanes.choose(self._options, numbers, network, tokens, train.features, layout, context)
            phase, before = checkpoint.phase_of(found) if found else 0, 0
            for at, objective in enumerate([*objectives_of(tokens, train), None]):
                options = self._options if objective is None else options_of(self._options, objective)
                if objective is not None and at < phase:
                    before += steps_of(options, len(objective.tokens))
                    continue
                job = make_job(
                    options, tokens, network, train, validation, labels, numbers, device, layout, context,
                    objective=objective, phase=at, before=before,
                )  # fmt: skip
                self._train_phase(job, found if at == phase else None)
                before += job.steps
        return self._model(network, tokens, labels, device)

    def _train_phase(self, job: Job, found: Path | None) -> None:
        """Train one phase to its end, from a checkpoint of that phase where there is one."""
        first = State(job.options.micro_batch or job.options.batch_size, job.phase)
        with with_workers(job, found) as shared, matmul_precision(job.arithmetic.matmul, job.device):
            state = checkpoint.resume(shared, found) if found else first
            with equipped(shared) as ready:
                loop.run(ready, state)

    def _model(
        self, network: torch.nn.Module, tokens: TokenEncoder, labels: Labels, device: torch.device
    ) -> TorchModel:
        options = self._options
        return TorchModel(network, tokens, labels, device, options.matmul == "highest", options.kernels)

    def restore(self, folder: Path, encoder: Encoder, labels: Labels) -> TorchModel:
        """Read what `TorchModel.save` wrote; the model runs on the CPU where the device of the training is missing."""
        file = folder / "trainer" / "trainer.json"
        try:
            stored = json.loads(file.read_text("utf-8"))
            known = stored["format"] == FORMAT
        except (OSError, ValueError, KeyError, TypeError):
            raise ArtefactError(f"'{file}' is missing or broken, so the model cannot be restored") from None
        if not known:
            raise ArtefactError(f"'{file}' has format {stored['format']}; this version reads {FORMAT}")
        tokens, device = cast("TokenEncoder", encoder), device_for_use(self._options.device)
        network = tokens.load_network(folder, labels).to(device)
        return self._model(network, tokens, labels, device)


class TorchModel:
    """A fine-tuned network with the encoder whose tokens it reads.

    kernels: "torch" forbids compiled kernels, which are otherwise used where they agree with torch.
    exact: float32 products are those of "highest", even where "medium" was measured to be as exact and faster. There is
    no such field for "medium": the option says nothing about another machine, where the model may be now.
    """

    explains_by: Literal["gradients"] = "gradients"

    def __init__(
        self,
        network: torch.nn.Module,
        encoder: TokenEncoder,
        labels: Labels,
        device: torch.device,
        exact: bool = False,
        kernels: Literal["auto", "torch", "native"] = "auto",
    ) -> None:
        self.network = network.eval()
        self.device = device
        self._encoder = encoder
        self._labels = labels
        self._exact = exact
        self._numbers: tuple[precision.Arithmetic, str] | None = None
        self._half: torch.nn.Module | None = None
        self._native = False if kernels == "torch" or device.type != "cpu" else None

    def scores(self, features: Tokens, context: Context) -> NDArray[np.float32]:
        """Return probabilities, float32[texts, labels], computed in float32; with `context.fast` in bf16 if that pays.

        Float32 products are computed in the fastest mode that was measured to have no error.
        """
        self._numbers = numbers, why = self._numbers or precision.for_scoring(self.network, self.device, context)
        network, half = self.network, context.fast and numbers.precision == "bf16"
        if context.fast:
            context.emit(Chosen(what="scoring", choice="bf16" if half else "float32", why=why))
        native = self._scores_natively(context)
        if half and not native:
            network = self._in_bf16()
        matmul = "highest" if self._exact else numbers.matmul
        with matmul_precision(matmul, self.device), scored(self._encoder.lengths(features), context):
            # Layers that go through kernels have copies of their weights, and compute in the type of autocast.
            cast = half and native
            return score(network, self._encoder, features, self._labels, self.device, context, cast=cast)

    def opaque(self) -> str:
        """Return why the network cannot be explained by gradients, or an empty string."""
        return explain.opaque(self.network, self._encoder)

    def attributions(self, features: Tokens, columns: NDArray[np.int64], context: Context) -> list[Attributions]:
        """Return what each token contributed, by integrated gradients, in float32."""
        return explain.attribute(
            self.network, self._encoder, features, columns, self._labels, self.device, context
        )

    def _scores_natively(self, context: Context) -> bool:
        """Tell whether the layers go through kernels; the first call lets them where these agree with torch."""
        with _FIRST_SCORES:
            if self._native is None:
                self._native = agreement.score_natively(self.network, self._encoder, context)
            return self._native

    def _in_bf16(self) -> torch.nn.Module:
        if self._half is None:
            self._half = working_copy(self.network)
        return self._half

    def save(self, folder: Path) -> None:
        self._encoder.save_network(self.network, folder)
        (folder / "trainer").mkdir(exist_ok=True)
        (folder / "trainer" / "trainer.json").write_text(json.dumps({"format": FORMAT}) + "\n", "utf-8")


def make_job(
    options: TorchOptions,
    encoder: TokenEncoder,
    network: torch.nn.Module,
    train: Encoded,
    validation: Encoded | None,
    labels: Labels,
    arithmetic: precision.Arithmetic,
    device: torch.device,
    layout: Layout,
    context: Context,
    team: Team = SingleProcess(),  # noqa: B008 - it is frozen
    *,
    objective: Objective | None = None,
    phase: int = 0,
    before: int = 0,
) -> Job:
    """Return what `loop.run` trains.

    network: that of the labels. objective: what its body learns in this phase; None: the labels.
    """
    minimised: TrainingObjective
    head: Sequence[torch.nn.Parameter] = ()
    trained, tokens, head_share = network, train.features, 1.0
    if objective is None:
        minimised = LabelObjective.create(options, encoder, train, labels, device)
    else:
        minimised = EncoderObjective(objective, context.seed)
        trained, tokens = objective.build_network(network).to(device), objective.tokens
        shared = {id(parameter) for parameter in network.parameters()}
        head = [parameter for parameter in trained.parameters() if id(parameter) not in shared]
        head_share = objective.head_learning_rate / objective.learning_rate
    layers, lengths = layers_of(encoder, network, options), encoder.lengths(tokens)
    unfreezing = UnfreezeSchedule.over(layers, options.unfreeze, steps_of(options, len(lengths)))
    if options.unfreeze is not None and not unfreezing.layers and team.rank == 0:
        context.warn(NOTHING)
    return Job(
        network=trained,
        classifier=network,
        encoder=encoder,
        train=train,
        validation=None if objective else validation,
        labels=labels,
        options=options,
        objective=minimised,
        optimizer=make_optimizer(trained, options, layers, head, head_share),
        scaler=torch.amp.GradScaler(device.type, enabled=arithmetic.precision == "fp16"),
        arithmetic=arithmetic,
        lengths=lengths,
        device=device,
        layout=layout,
        context=context,
        team=team,
        unfreezing=unfreezing,
        phase=phase,
        before=before,
    )
