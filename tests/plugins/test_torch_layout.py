"""What is asked of a device: how it multiplies, and how it is to be given batches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from textclf_torch.device import choose_layout, matmul_precision

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
    assert (packed, padded) == (("packed", "no product is of padding"), ("padded", "it has no float32"))
    assert calls == [torch.bfloat16, torch.float32]


def test_what_cannot_be_asked_is_padded_off_the_cpu():
    simple = SimpleNamespace(layouts=BOTH)
    assert choose_layout(simple, CPU, NETWORK) == ("packed", "no product is of padding")
    assert choose_layout(simple, GPU, NETWORK) == ("padded", "packed rows were not tried on cuda")
    assert choose_layout(asked("", []), APPLE, NETWORK) == ("padded", "packed rows were not tried on mps")


def test_an_encoder_without_packed_rows_says_why_where_it_knows():
    plain = SimpleNamespace(layouts=("padded",))
    assert choose_layout(plain, CPU, NETWORK) == ("padded", "its encoder makes no other batches")
    told = SimpleNamespace(layouts=("padded",), unpacked="its logits differ by 1")
    assert choose_layout(told, GPU, NETWORK) == ("padded", "its logits differ by 1")
