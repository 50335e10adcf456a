"""Integrated gradients (Sundararajan et al. 2017): what each token's embedding contributed to a logit.

Captum integrates the gradients along the straight line from a text of blank tokens to the text itself. Special tokens
are the same at both ends, so they contribute nothing. On every piece of the line the contributions must add up to the
difference of the logits at its ends: the piece with the largest error is halved until the sum of errors is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from textclf import Attributions, Context, Labels, PluginError, Progress, Stopped, Tokens

from .device import matmul_precision
from .loss import logits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


INSTALL = "captum>=0.9"
# Points of each piece of the line (Gauss-Legendre), and of all together at most; and the error allowed, as a share of
# the difference of logits. MiniLM needs one piece or two; a network that is steep somewhere needs more there.
POINTS, MOST, TOLERANCE = 32, 1024, 2e-3
# Tokens of one forward and backward pass, at most.
BUDGET = {"cpu": 2048, "mps": 8192, "cuda": 32_768}


def opaque(network: torch.nn.Module, encoder: Any) -> str:
    """Return why gradients cannot explain a network, or an empty string."""
    embeddings = getattr(network, "get_input_embeddings", None)
    if not callable(embeddings) or not isinstance(_embeddings(network), torch.nn.Module):
        return f"the network, a {type(network).__name__}, has no embeddings of its tokens"
    if not callable(getattr(encoder, "seen", None)) or "padded" not in encoder.layouts:
        return f"{type(encoder).__name__} does not say where its tokens are in a padded batch (seen)"
    if not hasattr(encoder, "blank"):
        return f"{type(encoder).__name__} does not say which token stands for no word (blank)"
    return ""


def attribute(
    network: torch.nn.Module,
    encoder: Any,
    tokens: Tokens,
    columns: NDArray[np.int64],
    labels: Labels,
    device: torch.device,
    context: Context,
) -> list[Attributions]:
    """Return what each token of each text contributed to the logit of that text's column."""
    if find_spec("captum") is None:
        raise PluginError(
            "explaining a network by gradients needs captum, which is not installed; "
            f"pip install '{INSTALL}', or use the method occlusion"
        )
    network.eval()
    found = []
    with matmul_precision("highest", device), _gradients(network, device):
        for row, column in enumerate(columns.tolist()):
            context.emit(Progress(stage="explain", done=row, total=len(tokens), unit="texts"))
            if context.stopping():
                raise Stopped("stopped while explaining texts")
            found.append(_Text(network, encoder, tokens, row, column, labels, device).attributions())
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """Contributions on a piece of the line, and how far their sum is from the difference of the logits."""

    start: float
    end: float
    values: torch.Tensor
    error: float


@dataclass(frozen=True, slots=True)
class _Text:
    """One text, and the label whose logit is explained."""

    network: torch.nn.Module
    encoder: Any
    tokens: Tokens
    row: int
    column: int
    labels: Labels
    device: torch.device

    def attributions(self) -> Attributions:
        seen = self.encoder.seen(self.tokens, np.array([self.row]))[0]
        embeddings, logit = self._look_up()
        if embeddings.shape[1] != len(seen):
            raise PluginError(
                f"the network's embeddings are of {embeddings.shape[1]} tokens, where its encoder sees {len(seen)}; "
                "use the method occlusion"
            )
        places = torch.from_numpy(np.flatnonzero(seen >= 0)).to(self.device)
        baseline = embeddings.clone()
        baseline[:, places] = self._blank(embeddings)
        low = self._logit_at(baseline)
        values = self._integrate(embeddings, baseline, low, logit)
        own = values[0, places].sum(1).cpu().numpy()
        blank = "a text of blank tokens" if self.encoder.blank is not None else "a text whose embeddings are zeros"
        return Attributions(seen[seen >= 0], own, logit, low, self.labels.logit_name(self.column), blank)

    def _integrate(self, embeddings: torch.Tensor, baseline: torch.Tensor, low: float, high: float) -> torch.Tensor:
        """Return the contribution of each number of the embeddings, float64[1, tokens, width]."""
        from captum.attr import IntegratedGradients

        method = IntegratedGradients(self._logits)
        together = max(1, BUDGET[self.device.type] // embeddings.shape[1])
        logits = {0.0: low, 1.0: high}

        def at(share: float) -> torch.Tensor:
            return baseline + share * (embeddings - baseline)

        def piece(start: float, end: float) -> _Piece:
            values = method.attribute(at(end), at(start), n_steps=POINTS, internal_batch_size=together).double()
            return _Piece(start, end, values, abs(float(values.sum()) - (logits[end] - logits[start])))

        pieces = [piece(0.0, 1.0)]
        # Halving a piece computes two new ones, each of as many points.
        for _ in range(1, MOST // (2 * POINTS)):
            if sum(each.error for each in pieces) <= TOLERANCE * max(abs(high - low), 1.0):
                break
            worst = max(pieces, key=lambda each: each.error)
            pieces.remove(worst)
            middle = (worst.start + worst.end) / 2
            logits[middle] = self._logit_at(at(middle))
            pieces += [piece(worst.start, middle), piece(middle, worst.end)]
        return torch.stack([each.values for each in pieces]).sum(0)

    def _look_up(self) -> tuple[torch.Tensor, float]:
        """Return the text's embeddings, [1, tokens, width], and its logit."""
        caught: list[torch.Tensor] = []
        with torch.no_grad(), _hooked(self.network, lambda embeddings: caught.append(embeddings)):
            logit = float(self._explained(self._output(1)))
        if len(caught) != 1:
            raise PluginError(f"the network asks for its embeddings {len(caught)} times; use the method occlusion")
        return caught[0].detach(), logit

    def _logit_at(self, embeddings: torch.Tensor) -> float:
        with torch.no_grad():
            return float(self._logits(embeddings))

    def _logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the logit that is explained for each of some embeddings in the text's place, [rows]."""
        with _hooked(self.network, lambda original: embeddings):
            return self._explained(self._output(len(embeddings)))

    def _output(self, times: int) -> Any:
        rows = np.full(times, self.row, np.int64)
        return logits_of(self.network(**self.encoder.collate(self.tokens, rows, "padded", self.device))).float()

    def _explained(self, logits: torch.Tensor) -> torch.Tensor:
        own = logits[:, self.column]
        if self.labels.task == "multi-label" or logits.shape[1] == 1:
            return own
        return own - (logits.sum(1) - own) / (logits.shape[1] - 1)

    def _blank(self, embeddings: torch.Tensor) -> torch.Tensor:
        blank = self.encoder.blank
        if blank is None:
            return torch.zeros_like(embeddings[0, 0])
        with torch.no_grad():
            embedding: torch.Tensor = _embeddings(self.network)(torch.tensor([[blank]], device=self.device))[0, 0]
        return embedding


def _embeddings(network: Any) -> Any:
    return network.get_input_embeddings()


@contextmanager
def _hooked(network: torch.nn.Module, replace: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """Replace the embeddings that the network reads by what `replace` returns for them; None leaves them unchanged."""
    hook = _embeddings(network).register_forward_hook(lambda module, arguments, output: replace(output))
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _gradients(network: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Let gradients reach the embeddings of a network that is not trained."""
    with ExitStack() as stack:
        if device.type == "cuda" and any(isinstance(part, torch.nn.RNNBase) for part in network.modules()):
            # cuDNN stores what the backward pass of a recurrent network needs in training mode only.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        wanted = {parameter: parameter.requires_grad for parameter in network.parameters()}
        for parameter in wanted:
            # Their own gradients are not needed, nor the memory for them.
            parameter.requires_grad_(False)
        stack.callback(lambda: [parameter.requires_grad_(wants) for parameter, wants in wanted.items()])
        yield
