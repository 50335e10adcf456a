"""What the trainer `torch` does on an NVIDIA GPU: run with `pytest -m gpu`."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plugins.sentiment import TRUTH, sentiment
from textclf import Chosen

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_a_tiny_network_learns_a_tiny_task_on_cuda(precision, tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(context, epochs=12, device="cuda", precision=precision)
    scores = model.scores(task.encoded.features, context)
    assert (scores.argmax(axis=1) == TRUTH).all()
    assert next(model.network.parameters()).device.type == "cuda"


def test_a_model_trained_on_cuda_scores_the_same_on_the_cpu(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(context, epochs=4, device="cuda")
    here = model.scores(task.encoded.features, context)
    model.network.cpu()
    model.device = next(model.network.parameters()).device
    assert np.abs(here - model.scores(task.encoded.features, context)).max() <= 1e-4


def test_cuda_is_taken_where_there_is_one_and_trains_in_bf16(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    task.train(context, epochs=1, device="auto")
    chosen = {event.what: event.choice for event in context.events if isinstance(event, Chosen)}
    assert chosen == {"arithmetic": "bf16, highest matmul", "layout": "padded"}
