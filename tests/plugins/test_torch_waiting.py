"""What a step asks of the device before it goes on: nothing, where looks can wait.

Tried without a GPU: fake tensors have shapes but no values, so whatever the host would wait to read is an error.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from textclf_torch import divergence, loop, optimizer
from textclf_torch import state as states
from textclf_torch.options import TorchOptions
from textclf_torch.precision import Arithmetic
from textclf_torch.trainer import make_job
from textclf_transformers.batch import DeviceIds
from textclf_transformers.packed import attention, last_layer
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from tests.plugins.sentiment import sentiment

CPU = torch.device("cpu")


def without_values(network: torch.nn.Module, mode: FakeTensorMode) -> None:
    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                fake = None if tensor is None else mode.from_tensor(tensor.detach())
                tensors[name] = torch.nn.Parameter(fake) if isinstance(tensor, torch.nn.Parameter) else fake


@pytest.mark.slow
def test_a_step_of_packed_rows_reads_no_value_before_the_next_look(tmp_path, monkeypatch):
    task = sentiment(tmp_path)
    network = task.encoder.build_network(task.labels)
    asked: list[tuple[int, ...]] = []

    def on_a_gpu(query, key, value, lengths, borders, rule):
        asked.append(tuple(query.shape))
        return attention.by_borders(query, key, value, lengths, borders, rule)

    # As on a GPU: its attention, ids that lie there, the gradient cut there, and looks that wait.
    for place in (attention, last_layer):
        monkeypatch.setattr(place, "within", on_a_gpu)
    monkeypatch.setattr(
        optimizer, "clip_gradients", lambda job: torch.nn.utils.clip_grad_norm_(job.network.parameters(), 1.0)
    )
    monkeypatch.setattr(divergence, "can_wait", lambda job: True)
    monkeypatch.setattr(divergence, "SECONDS", 3600.0)
    lengths, rows, state = task.encoder.lengths(task.encoded.features), np.array([0, 1, 2, 9, 12, 5]), states.State(6)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        without_values(network, mode)
        specials = task.encoder._preprocessor.collator.single.flat
        ids = DeviceIds.of(task.encoded.features.ids, specials, CPU)
        monkeypatch.setattr(task.encoder._cache, "source", lambda *asked: ids)
        job = make_job(
            TorchOptions(batch_size=6), task.encoder, network, task.encoded, None, task.labels, Arithmetic("bf16"), CPU,
            "packed", task.context(),
        )  # fmt: skip
        for step in range(2):
            state.step = step
            loop.take_step(job, state, rows)
        assert asked == [(int(lengths[rows].sum()), 2, 16), (6, 2, 16)] * 2
        with pytest.raises(DataDependentOutputException):
            job.divergence.flush(job, state)
