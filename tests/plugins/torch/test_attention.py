"""The attention that pays on a machine is measured once, stored with a checkpoint, and used in training only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from textclf_torch import checkpoint
from textclf_torch.cpu import attention
from textclf_torch.precision import Arithmetic
from textclf_transformers import TransformerOptions, build

from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task
from tests.plugins.torch.jobs import weights
from tests.tiny import tiny_bert
from textclf import Chosen, Encoded, Split, Stopped, Texts
from textclf.testing import LocalContext

HALF = Arithmetic("bf16", lanes=1)


def fused_attention_fails() -> bool:
    """Tell whether PyTorch packs for AMX, which the processor has, where ATEN_CPU_CAPABILITY forbids AVX-512."""
    row = torch.zeros(1, 1, 64, 64, dtype=torch.bfloat16)
    try:
        torch.nn.functional.scaled_dot_product_attention(row, row, row)
    except RuntimeError as error:
        return "pack_vnni2" in str(error)
    return False


fused = pytest.mark.skipif(fused_attention_fails(), reason="PyTorch's fused attention in bf16 fails as set here")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Return a task whose network is large enough to be measured."""
    encoder = build(TransformerOptions(checkpoint=str(tiny_bert(tmp_path / "tiny", TEXTS, hidden=256))))
    encoder.fit(Split(Texts(TEXTS), TRUTH), LocalContext(tmp_path))
    return Task(tmp_path, encoder, Encoded(encoder.encode(Texts(TEXTS), LocalContext(tmp_path)), TRUTH), LABELS)


def measured(context: LocalContext, longest: int) -> None:
    """Let the cache say that products were measured to pay up to a length."""
    assert context.cache is not None
    [file] = [f for f in (context.cache / "arithmetic").iterdir() if "attention" in json.loads(f.read_text())]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"longest": longest}))


@fused
def test_attention_is_measured_once_and_the_choice_is_stored(task: Task):
    context = task.context(cache=task.folder / "cache")
    network = task.encoder.build_network(LABELS)
    first = attention.choose(HALF, network, "packed", context)
    assert first == replace(HALF, products=first.products)
    [event] = context.events
    assert isinstance(event, Chosen)
    assert event.why.startswith("speed of products over fused: ")
    for longest, choice in ((64, "products, texts of at most 64 tokens"), (0, "fused")):
        measured(context, longest)
        assert attention.choose(HALF, network, "packed", context) == replace(HALF, products=longest)
        event = context.events[-1]
        assert isinstance(event, Chosen)
        assert (event.what, event.choice, event.why) == ("attention", choice, "measured before")


def test_nothing_is_measured_where_products_are_not_used(task: Task):
    context, network = task.context(), task.encoder.build_network(LABELS)
    assert attention.choose(Arithmetic(), network, "packed", context) == Arithmetic()
    assert attention.choose(HALF, network, "padded", context) == HALF
    assert attention.choose(HALF, torch.nn.Linear(512, 512), "packed", context) == HALF
    assert context.events == []


def test_products_are_taken_in_bf16_training_of_texts_that_are_short_enough():
    row = torch.zeros(5, 2, 4, dtype=torch.bfloat16)
    assert not attention.takes_products(row, (2, 3))
    with attention.products(3):
        assert attention.takes_products(row, (2, 3))
        assert not attention.takes_products(row, (1, 4))
        assert not attention.takes_products(row.float(), (2, 3))
        with torch.no_grad():
            assert not attention.takes_products(row, (2, 3))
    assert not attention.takes_products(row, (2, 3))


@fused
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_resumed_training_keeps_its_attention_and_has_the_same_bits(lanes: int, task: Task):
    options: dict[str, Any] = {"kernels": "torch", "precision": "bf16", "lanes": lanes, "checkpoint_every": 100}
    context = task.context(cache=task.folder / "cache")
    task.train(context, **options)
    measured(context, 0)
    by_fused = task.train(task.context(cache=context.cache), **options)
    measured(context, 64)
    undisturbed = task.train(task.context(cache=context.cache), **options)
    assert weights(undisturbed) != weights(by_fused)
    stopping = task.context(cache=context.cache, checkpoints=task.store(), stop_after=2)
    with pytest.raises(Stopped):
        task.train(stopping, **options)
    found = task.store().latest()
    assert found is not None
    assert checkpoint.arithmetic_of(found).products == 64
    measured(context, 0)
    resumed = task.train(task.context(cache=context.cache, checkpoints=task.store()), **options)
    assert weights(resumed) == weights(undisturbed)


def test_a_checkpoint_from_before_the_choice_goes_on_with_fused_attention(task: Task):
    task.train(task.context(checkpoints=task.store()), precision="bf16")
    found = task.store().latest()
    assert found is not None
    state = json.loads((found / "state.json").read_text())
    del state["arithmetic"]["products"]
    (found / "state.json").write_text(json.dumps(state))
    assert checkpoint.arithmetic_of(found).products == 0
