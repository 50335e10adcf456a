"""Devices: which one, how it multiplies, and the layout of its batches."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from textclf_torch import runtime
from textclf_torch.device import choose_layout, matmul_precision
from textclf_transformers.batch import DeviceIds, TokenCache

from tests.plugins.sentiment import Task, sentiment
from textclf import Chosen, ResourceError, Tokens

CPU, GPU, APPLE = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
NETWORK = torch.nn.Linear(1, 1)
BOTH = ("packed", "padded")


@pytest.mark.parametrize(("device", "expected"), [(CPU, "medium"), (GPU, "highest"), (APPLE, "highest")])
def test_off_the_cpu_float32_is_float32_whatever_the_process_had_set(device, expected):
    torch.set_float32_matmul_precision("high")
    try:
        with matmul_precision("medium", device):
            assert torch.get_float32_matmul_precision() == expected
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def asked(answer: str, calls: list[torch.dtype]) -> SimpleNamespace:
    def why_padded(network: torch.nn.Module, dtype: torch.dtype) -> str:
        calls.append(dtype)
        return answer

    return SimpleNamespace(layouts=BOTH, why_padded=why_padded)


def test_a_gpu_gets_packed_rows_where_the_encoder_finds_them_exact_in_the_trainings_arithmetic():
    calls: list[torch.dtype] = []
    packed = choose_layout(asked("", calls), GPU, NETWORK, torch.bfloat16)
    padded = choose_layout(asked("it has no float32", calls), GPU, NETWORK)
    assert (packed, padded) == (("packed", "no text is padded"), ("padded", "it has no float32"))
    assert calls == [torch.bfloat16, torch.float32]


def test_what_cannot_be_asked_is_padded_off_the_cpu():
    simple = SimpleNamespace(layouts=BOTH)
    assert choose_layout(simple, CPU, NETWORK) == ("packed", "no text is padded")
    assert choose_layout(simple, GPU, NETWORK) == ("padded", "packed rows were not tried on cuda")
    assert choose_layout(asked("", []), APPLE, NETWORK) == ("padded", "packed rows were not tried on mps")


def test_an_encoder_without_packed_rows_says_why_where_it_knows():
    plain = SimpleNamespace(layouts=("padded",))
    assert choose_layout(plain, CPU, NETWORK) == ("padded", "its encoder makes no other batches")
    told = SimpleNamespace(layouts=("padded",), unpacked="its logits differ by 1")
    assert choose_layout(told, GPU, NETWORK) == ("padded", "its logits differ by 1")


@pytest.fixture
def still(tmp_path: Path) -> Task:
    """Return a task whose networks have no dropout."""
    return sentiment(tmp_path, dropout=0.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_without_cuda_is_refused_with_the_way_out(still: Task):
    """T03: `device: cuda` where there is none."""
    with pytest.raises(ResourceError) as error:
        still.train(device="cuda")
    why = "finds no NVIDIA GPU" if torch.version.cuda else "is a build without CUDA"
    assert str(error.value) == (
        f"trainer.device is 'cuda', but PyTorch {torch.__version__} {why}; set it to auto or cpu"
    )
    assert runtime.choose_device("auto") == CPU


@pytest.mark.gpu
def test_cuda_is_taken_where_there_is_one_and_trains_in_bf16(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    task.train(context, epochs=1, device="auto")
    chosen = {event.what: event.choice for event in context.events if isinstance(event, Chosen)}
    assert chosen == {"arithmetic": "bf16, highest matmul", "layout": "packed"}


@pytest.mark.gpu
def test_packed_rows_are_taken_in_bf16_where_they_give_what_padded_batches_give(tmp_path):
    """T08: attention of variable length, its gradients, and the logits, tried on the GPU itself."""
    task = sentiment(tmp_path)
    network = task.encoder.build_network(task.labels).to(GPU)
    assert task.encoder.why_padded(network.train(), torch.bfloat16) == ""
    assert task.encoder.why_padded(network.eval(), torch.float16) == ""
    assert task.encoder.why_padded(network, torch.float32) == "attention of variable length knows no float32"


@pytest.mark.gpu
def test_attention_dropout_keeps_batches_padded_and_the_run_says_why(tmp_path):
    task = sentiment(tmp_path, attention_dropout=0.1)
    context = task.context()
    task.train(context, epochs=1, device="cuda", precision="bf16")
    (told,) = [event for event in context.events if isinstance(event, Chosen) and event.what == "layout"]
    why = "attention of variable length has no dropout, and attention_dropout is 0.1"
    assert (told.choice, told.why) == ("padded", why)


@pytest.mark.gpu
def test_batches_made_on_the_gpu_are_those_made_on_the_cpu(tmp_path):
    task = sentiment(tmp_path, pairs=True, max_length=9, truncate="head_tail")
    task.encoder.build_network(task.labels)
    rows = np.array([3, 17, 0, 3])
    for layout in ("packed", "padded"):
        here, there = (task.encoder.collate(task.encoded.features, rows, layout, d) for d in (GPU, CPU))
        assert here.keys() == there.keys()
        for name, values in there.items():
            if isinstance(values, torch.Tensor):
                assert here[name].device.type == GPU.type
                assert here[name].dtype == values.dtype
                assert torch.equal(here[name].cpu(), values), name
            else:
                assert here[name] == values


@pytest.mark.gpu
def test_the_ids_of_a_split_are_copied_to_the_gpu_once():
    tokens = Tokens(np.arange(40, dtype=np.uint16), np.array([0, 15, 40]))
    specials = np.array([7, 8])
    cache = TokenCache()
    first = cache.source(tokens, lambda: specials, GPU)
    assert isinstance(first, DeviceIds)
    assert first.flat.device.type == "cuda"
    assert first.flat.tolist() == [*range(40), 7, 8]
    assert cache.source(tokens, lambda: specials, GPU) is first
