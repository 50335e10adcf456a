"""Encoder layers of packed rows in few passes over memory: products by torch, everything between them by kernels.

A layer is one function of autograd whose backward pass is written out. Between layers the states are float32, as
autocast has them, and travel with the same in bf16, which the next layer's products read. The weights of products are
cast once a step, and their gradients go to one place in memory that stays.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from . import kernels
from .dropout import LEVELS, Masks

Slots = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class LayerParts:
    """The parts of an encoder layer whose two halves, attention and feed-forward, each end in a LayerNorm.

    module: the layer, called with states [1, tokens, width] and, where these are of a packed row, with `text_borders`,
    int32[texts + 1], by name. scale: of attention. attention_rate: of dropout on the weights of attention. rates: of
    dropout at the end of both halves. first_tokens: of a packed row it returns only the first token of each text,
    unless it is called with `every_token`.
    """

    module: torch.nn.Module
    query: torch.nn.Linear
    key: torch.nn.Linear
    value: torch.nn.Linear
    output: torch.nn.Linear
    attention_norm: torch.nn.LayerNorm
    up: torch.nn.Linear
    down: torch.nn.Linear
    output_norm: torch.nn.LayerNorm
    heads: int
    scale: float
    attention_rate: float
    rates: tuple[float, float]
    first_tokens: bool = False

    def parameters(self) -> dict[str, list[torch.Tensor]]:
        """Return the parameters by the place of their gradients: those of query, key and value share theirs."""
        inner = (self.query, self.key, self.value)
        return {
            "qkv": [part.weight for part in inner],
            "qkv_bias": [part.bias for part in inner],
            "output": [self.output.weight],
            "attention_norm": [self.output.bias, self.attention_norm.weight, self.attention_norm.bias],
            "up": [self.up.weight],
            "up_bias": [self.up.bias],
            "down": [self.down.weight],
            "output_norm": [self.down.bias, self.output_norm.weight, self.output_norm.bias],
        }


class Weights:
    """The weights of a layer's products in the type of the products, copied again once they have changed.

    In float32 only those of query, key and value are copied, which are then one matrix. Threads that find the copies
    outdated at the same time each make their own: they are the same.
    """

    def __init__(self, parts: LayerParts, dtype: torch.dtype) -> None:
        self._parts, self._dtype = parts, dtype
        self._names = ("qkv", "qkv_bias", "output", "up", "down") if dtype == torch.bfloat16 else ("qkv", "qkv_bias")
        self._copied: tuple[list[tuple[int, int]], Slots] = [], {}

    def current(self) -> Slots:
        """Return the weights by name."""
        copied, copies = self._copied
        if copied != (state := self._state()):
            copies = self._new()
            self._copied = state, copies
        return copies

    def places(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield each parameter that is copied and the place of its copy; none before the first copy."""
        return self._places(self._copied[1])

    def declare_current(self) -> None:
        """Note that the copies were changed with the weights."""
        if self._copied[1]:
            self._copied = self._state(), self._copied[1]

    def _places(self, copies: Slots) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        found = self._parts.parameters()
        for name in self._names if copies else ():
            yield from zip(found[name], copies[name].chunk(len(found[name])), strict=True)

    def _state(self) -> list[tuple[int, int]]:
        found = self._parts.parameters()
        return [(p.data_ptr(), p._version) for name in self._names for p in found[name]]

    # A copy that is made while scoring serves training too.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _new(self) -> Slots:
        parts, found = self._parts, self._parts.parameters()
        copies = {"output": parts.output.weight, "up": parts.up.weight, "down": parts.down.weight}
        for name in self._names:
            rows = sum(len(p) for p in found[name])
            copies[name] = torch.empty(rows, *found[name][0].shape[1:], dtype=self._dtype)
        for parameter, place in self._places(copies):
            place.copy_(parameter)
        return copies


class LayerGradients:
    """The gradients of fused layers: each lane has memory of its own, which stays from step to step."""

    def __init__(self, layers: Sequence[LayerParts]) -> None:
        self._layers = layers
        self._sizes = [
            {name: sum(p.numel() for p in found) for name, found in parts.parameters().items()} for parts in layers
        ]
        self._memory: dict[int, torch.Tensor] = {}
        self._written: dict[int, set[int]] = {}
        self._local = threading.local()

    def enter(self, lane: int) -> None:
        """Let this thread write the gradient of a lane, from nothing."""
        self._local.lane, self._written[lane] = lane, set()

    def slots(self, layer: int) -> tuple[Slots, bool]:
        """Return the places of a layer's gradients in this thread's lane, and whether they already hold some."""
        lane: int = self._local.lane
        if lane not in self._memory:
            self._memory[lane] = torch.empty(sum(sum(sizes.values()) for sizes in self._sizes))
        full = layer in self._written[lane]
        self._written[lane].add(layer)
        return self._split(lane, layer), full

    def collect(self) -> None:
        """Leave the sum of all lanes, in their order, in the parameters."""
        for layer, parts in enumerate(self._layers):
            lanes = sorted(lane for lane, written in self._written.items() if layer in written)
            if not lanes:
                continue
            first, *others = lanes
            for other in others:
                kernels.add(self._of(first, layer), self._of(other, layer))
            slots = self._split(first, layer)
            for name, found in parts.parameters().items():
                for p, gradient in zip(found, torch.split(slots[name], [p.numel() for p in found]), strict=True):
                    if p.requires_grad:
                        whole = gradient.view_as(p)
                        p.grad = whole if p.grad is None else p.grad.add_(whole)
        self._written.clear()

    def _of(self, lane: int, layer: int) -> torch.Tensor:
        begins = sum(sum(sizes.values()) for sizes in self._sizes[:layer])
        return self._memory[lane].narrow(0, begins, sum(self._sizes[layer].values()))

    def _split(self, lane: int, layer: int) -> Slots:
        sizes = self._sizes[layer]
        return dict(zip(sizes, torch.split(self._of(lane, layer), list(sizes.values())), strict=True))


@dataclass(slots=True)
class _Call:
    """One pass of a layer over a packed row.

    borders: int64[texts + 1]. firsts: the places of the tokens that are computed, None: all. dropped, keys: of the
    dropout at the end of both halves.
    """

    layer: FusedLayer
    weights: Slots
    borders: torch.Tensor
    firsts: torch.Tensor | None
    dropped: tuple[int, int]
    keys: tuple[int, int]
    saved: dict[str, Any] = field(default_factory=dict)

    def forward(self, states: torch.Tensor, rounded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the output of states float32[tokens, width], and the same in bf16 where products are."""
        parts, weights = self.layer.parts, self.weights
        residual, width = states, parts.query.out_features
        if self.firsts is None:
            qkv = torch.addmm(weights["qkv_bias"], rounded, weights["qkv"].t())
            query, key, value = qkv[:, :width], qkv[:, width : 2 * width], qkv[:, 2 * width :]
            query_borders, asking = self.borders, rounded
        else:
            residual, asking = states.index_select(0, self.firsts), rounded.index_select(0, self.firsts)
            query = torch.addmm(weights["qkv_bias"][:width], asking, weights["qkv"][:width].t())
            both = torch.addmm(weights["qkv_bias"][width:], rounded, weights["qkv"][width:].t())
            key, value = both[:, :width], both[:, width:]
            query_borders = torch.arange(len(self.borders))
        attention = kernels.Attention(query, key, value, self.borders, query_borders, parts.heads, parts.scale)
        seen = kernels.Norm(
            torch.mm(attention.out, weights["output"].t()), parts.output.bias, residual, parts.attention_norm,
            self.dropped[0], self.keys[0],
        )  # fmt: skip
        inner = seen.out if seen.half is None else seen.half
        raised = torch.mm(inner, weights["up"].t())
        active = kernels.gelu(raised, parts.up.bias)
        done = kernels.Norm(
            torch.mm(active, weights["down"].t()), parts.down.bias, seen.out, parts.output_norm,
            self.dropped[1], self.keys[1],
        )  # fmt: skip
        self.saved = {
            "rounded": rounded, "asking": asking, "attention": attention, "seen": seen, "inner": inner,
            "raised": raised, "active": active, "done": done,
        }  # fmt: skip
        return done.out, done.half

    def backward(
        self, gradient: torch.Tensor | None, half: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Add to the gradients of the weights, and return those of the states and of their bf16 form."""
        parts, weights, saved, width = self.layer.parts, self.weights, self.saved, self.layer.parts.query.out_features
        self.saved = {}
        sums = _Sums(self.layer)
        down, passed, vectors = saved["done"].backward(gradient, half)
        sums.vector("output_norm", vectors)
        sums.product("down", down, saved["active"])
        raised = torch.mm(down, weights["down"])
        sums.vector("up_bias", kernels.gelu_backward(saved["raised"], parts.up.bias, raised))
        sums.product("up", raised, saved["inner"])
        output, residual, vectors = saved["seen"].backward(passed, torch.mm(raised, weights["up"]))
        sums.vector("attention_norm", vectors)
        sums.product("output", output, saved["attention"].out)
        found = torch.mm(output, weights["output"])
        rounded, asking = saved["rounded"], saved["asking"]
        if self.firsts is None:
            qkv = rounded.new_empty(len(rounded), 3 * width)
            saved["attention"].backward(found, qkv[:, :width], qkv[:, width : 2 * width], qkv[:, 2 * width :])
            sums.vector("qkv_bias", qkv.sum(0))
            sums.product("qkv", qkv, rounded)
            return residual, torch.mm(qkv, weights["qkv"])
        query, both = torch.empty_like(found), rounded.new_empty(len(rounded), 2 * width)
        saved["attention"].backward(found, query, both[:, :width], both[:, width:])
        sums.vector("qkv_bias", torch.cat([query.sum(0), both.sum(0)]))
        sums.product("qkv", query, asking, slice(0, width))
        sums.product("qkv", both, rounded, slice(width, 3 * width))
        residual.add_(torch.mm(query, weights["qkv"][:width]))
        whole = residual.new_zeros(len(rounded), residual.shape[1]).index_copy_(0, self.firsts, residual)
        return whole, torch.mm(both, weights["qkv"][width:])


class _Sums:
    """Where one backward pass adds the gradients of a layer's weights; nowhere those of frozen ones."""

    def __init__(self, layer: FusedLayer) -> None:
        found = layer.parts.parameters()
        self._wanted = {name for name, each in found.items() if any(p.requires_grad for p in each)}
        self._widths = {name: each[0].shape[1] for name, each in found.items() if each[0].ndim == 2}
        if self._wanted:
            assert layer.gradients is not None
            self._slots, self._full = layer.gradients.slots(layer.index)

    def vector(self, name: str, values: torch.Tensor) -> None:
        if name in self._wanted:
            self._add(self._slots[name], values.flatten())

    def product(self, name: str, gradient: torch.Tensor, inputs: torch.Tensor, rows: slice = slice(None)) -> None:
        """Add gradient^T @ inputs to some rows of a weight's gradient."""
        if name not in self._wanted:
            return
        place = self._slots[name].view(-1, self._widths[name])[rows]
        if gradient.dtype == torch.float32:
            torch.addmm(place, gradient.t(), inputs, beta=float(self._full), out=place)
        else:
            self._add(place, torch.mm(gradient.t(), inputs))

    def _add(self, place: torch.Tensor, values: torch.Tensor) -> None:
        if self._full:
            place.add_(values)
        else:
            place.copy_(values)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, call: _Call, anchor: torch.Tensor | None, hidden: torch.Tensor, rounded: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """anchor: a weight that is trained, so that the layer is part of the graph where its input is not."""
        ctx.set_materialize_grads(False)
        ctx.call, ctx.has_half = call, rounded is not None
        states = hidden.flatten(0, 1)
        read = states.to(call.weights["qkv"].dtype) if rounded is None else rounded
        out, half = call.forward(states, read)
        if not any(ctx.needs_input_grad):
            call.saved = {}
        return out.unsqueeze(0), half

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor | None, half: torch.Tensor | None) -> Any:
        flat = None if gradient is None else gradient.flatten(0, 1).contiguous()
        states, rounded = ctx.call.backward(flat, half)
        if not ctx.has_half:
            states, rounded = states.add_(rounded), None
        return None, None, states.unsqueeze(0), rounded


class FusedLayer:
    """The `forward` of a layer that goes through kernels for a packed row; `remove` puts the layer's own back.

    The own one is called for everything else: padded batches, dropout on the weights of attention, other types.
    gradients, masks: of a training; None where the network only scores.
    """

    def __init__(
        self, parts: LayerParts, index: int, gradients: LayerGradients | None = None, masks: Masks | None = None
    ) -> None:
        self.parts, self.index, self.gradients, self.masks = parts, index, gradients, masks
        self.weights = {dtype: Weights(parts, dtype) for dtype in kernels.TYPES}
        self.replaced = parts.module.__dict__.get("forward")
        self.own = parts.module.forward
        parts.module.forward = self

    def remove(self) -> None:
        del self.parts.module.forward
        if self.replaced is not None:
            self.parts.module.forward = self.replaced

    def __call__(self, hidden: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        borders, dtype = named.get("text_borders"), _type_of_products()
        if borders is None or dtype not in self.weights or not self._fits(hidden):
            return self.own(hidden, *arguments, **named)
        parts, borders, hidden = self.parts, borders.long(), hidden.float()
        first_tokens = parts.first_tokens and not named.get("every_token")
        dropped = self._dropped()
        first, second = (self.masks.key() if self.masks and each else 0 for each in dropped)
        call = _Call(
            self, self.weights[dtype].current(), borders, borders[:-1] if first_tokens else None, dropped,
            (first, second),
        )  # fmt: skip
        anchor = next((p for each in parts.parameters().values() for p in each if p.requires_grad), None)
        rounded = getattr(hidden, "rounded", None) if dtype == torch.bfloat16 else None
        out, half = _Layer.apply(call, anchor, hidden, rounded)  # type: ignore[no-untyped-call]
        if half is not None:
            out.rounded = half
        return out

    def _fits(self, hidden: torch.Tensor) -> bool:
        if hidden.device.type != "cpu" or self.parts.up.weight.dtype != torch.float32:
            return False
        if torch.is_grad_enabled() and self.gradients is None:
            return False
        rates = (self.parts.attention_rate, *self.parts.rates)
        return not self.parts.module.training or (
            rates[0] == 0 and (max(rates) == 0 or self.masks is not None) and max(rates) <= 1 - 1 / LEVELS
        )

    def _dropped(self) -> tuple[int, int]:
        if not self.parts.module.training:
            return 0, 0
        first, second = (round(rate * LEVELS) for rate in self.parts.rates)
        return first, second


def _type_of_products() -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32


class FusedLayers(LayerGradients):
    """The layers of a network that trains through kernels, and their gradients."""

    def __init__(self, layers: Sequence[LayerParts], masks: Masks) -> None:
        super().__init__(layers)
        self._made = [FusedLayer(parts, index, self, masks) for index, parts in enumerate(layers)]

    def copies(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return each weight of which there is a bf16 copy, and that copy."""
        return [pair for layer in self._made for pair in layer.weights[torch.bfloat16].places()]

    def declare_current(self) -> None:
        """Note that the bf16 copies were changed with the weights, and copy the others again."""
        for layer in self._made:
            layer.weights[torch.bfloat16].declare_current()
            for parameter, place in layer.weights[torch.float32].places():
                place.copy_(parameter.detach())
            layer.weights[torch.float32].declare_current()

    def remove(self) -> None:
        for layer in self._made:
            layer.remove()


@contextmanager
def fused(layers: Sequence[LayerParts], masks: Masks) -> Iterator[FusedLayers]:
    """Let layers train through kernels, with the dropout of these masks."""
    made = FusedLayers(layers, masks)
    try:
        yield made
    finally:
        made.remove()
