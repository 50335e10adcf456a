"""The arithmetic that pays on a machine is measured once and stored, or named by options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import precision, scoring
from textclf_torch import precision as arithmetic
from textclf_torch.precision import Arithmetic

from tests.plugins.sentiment import LABELS, Task, sentiment
from tests.plugins.torch.jobs import CPU, spread
from tests.tiny import tiny_bert, tiny_distilbert, tiny_roberta
from textclf import Chosen
from textclf.testing import LocalContext

KEPT = {"medium": True, "bf16": True, "fastest": "bf16"}


@pytest.fixture
def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Linear(256, 2))


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path, cache=tmp_path / "cache")


def kept(context: LocalContext) -> Path:
    assert context.cache is not None
    [file] = (context.cache / "arithmetic").iterdir()
    return file


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_machine_is_measured_once_and_the_choice_is_kept_without_its_timing(network, context):
    first = arithmetic.find(network, context)
    assert first is not None
    told = json.loads(kept(context).read_text())
    assert {name: told.pop(name) for name in KEPT} == {
        "medium": first.medium, "bf16": first.bf16, "fastest": first.fastest,
    }  # fmt: skip
    assert told == {
        "format": 1, "cpu": told["cpu"], "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "shape": [256, 256],
    }  # fmt: skip
    # What another run kept is taken as it is, though this machine would measure otherwise.
    change(kept(context), **KEPT)
    assert arithmetic.find(network, context) == arithmetic.Measured(**KEPT, how="measured before at 256x256")
    assert arithmetic.for_scoring(network, CPU, context) == (Arithmetic("bf16", "medium"), "measured before at 256x256")


@pytest.mark.parametrize("torn", ["", "[]", "{}", '{"medium": 1, "bf16": true, "fastest": "bf16"}'])
def test_a_torn_note_is_measured_again_and_replaced(torn: str, network, context):
    arithmetic.find(network, context)
    kept(context).write_text(torn)
    found = arithmetic.find(network, context)
    assert found is not None
    assert found.how.startswith("speed of 256x256 products: highest 1.0, medium ")
    assert json.loads(kept(context).read_text())["fastest"] == found.fastest


def test_without_a_cache_or_with_one_that_cannot_be_written_it_is_measured_each_time(network, context, tmp_path):
    (tmp_path / "file").write_text("")
    for cache in (None, tmp_path / "file"):
        context.cache = cache
        found = arithmetic.find(network, context)
        assert found is not None
        assert found.how.startswith("speed of 256x256 products: ")


def test_another_shape_or_other_threads_are_another_measurement(network, context):
    arithmetic.find(network, context)
    arithmetic.find(torch.nn.Linear(256, 512), context)
    assert context.cache is not None
    assert len(list((context.cache / "arithmetic").iterdir())) == 2
    assert arithmetic.shape_of(torch.nn.Linear(256, 512)) == (512, 256)
    assert arithmetic.find(torch.nn.Linear(8, 8), context) is None


@pytest.mark.parametrize(
    ("precision", "matmul", "chosen", "why"),
    [
        ("auto", "auto", Arithmetic("bf16", "medium"), "measured before at 256x256"),
        ("float32", "auto", Arithmetic("float32", "medium"), "measured before at 256x256"),
        ("auto", "highest", Arithmetic("bf16", "highest"), "measured before at 256x256"),
        ("float32", "highest", Arithmetic("float32", "highest"), "as requested"),
    ],
)
def test_options_fix_the_choice_by_hand(precision, matmul, chosen, why, network, context):
    arithmetic.find(network, context)
    change(kept(context), **KEPT)
    assert arithmetic.choose(precision, matmul, network, CPU, context) == chosen
    [event] = context.events
    assert isinstance(event, Chosen)
    assert (event.what, event.choice, event.why) == (
        "arithmetic", f"{chosen.precision}, {chosen.matmul} matmul", why,
    )  # fmt: skip
    assert event.options == {"trainer.precision": chosen.precision, "trainer.matmul": chosen.matmul}


@pytest.mark.parametrize(
    ("medium", "bf16", "error", "pays"),
    [
        (0.6, 0.3, 4e-7, (True, True, "bf16")),
        (0.6, 0.5, 4e-7, (True, False, "bf16")),
        (0.6, 0.5, 1e-4, (False, True, "bf16")),
        (0.7, 0.8, 4e-7, (False, False, "medium")),
        (1.1, 90.0, 0.0, (False, False, "highest")),
    ],
)
def test_only_what_is_exact_enough_and_half_as_fast_again_is_chosen(medium, bf16, error, pays):
    found = arithmetic.choose_modes({"highest": 1.0, "medium": medium, "bf16": bf16}, error, (8, 9))
    assert (found.medium, found.bf16, found.fastest) == pays
    assert found.how == f"speed of 9x8 products: highest 1.0, medium {1 / medium:.1f}, bf16 {1 / bf16:.1f}"


def test_measuring_leaves_torchs_settings_as_they_were(network, context):
    torch.manual_seed(3)
    before, precision = torch.get_rng_state(), torch.get_float32_matmul_precision()
    arithmetic.find(network, context)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_float32_matmul_precision() == precision


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def test_the_choice_of_arithmetic_is_measured_and_told(task: Task):
    context = task.context()
    network = torch.nn.Linear(512, 512)
    chosen = precision.choose("auto", "auto", network, CPU, context)
    assert chosen.precision in ("float32", "bf16")
    [event] = [event for event in context.events if isinstance(event, Chosen)]
    assert event.why.startswith("speed of 512x512 products: highest 1.0, medium ")


def scored(network: torch.nn.Module, encoder: Any, tokens: Any, context: Any) -> np.ndarray:
    return scoring.score(network, encoder, tokens, LABELS, CPU, context)


@pytest.mark.parametrize("maker", [tiny_bert, tiny_roberta, tiny_distilbert])
def test_the_working_copy_gives_nearly_the_same_scores_and_leaves_the_network_alone(maker, tmp_path):
    encoder, tokens, network = spread(tmp_path, maker)
    context = LocalContext(tmp_path)
    before = scored(network, encoder, tokens, context)
    half = precision.working_copy(network)
    fast = scored(half, encoder, tokens, context)
    error = np.abs(fast - before).max()
    assert 0 < error < 0.05
    assert fast.dtype == np.float32
    assert (scored(network, encoder, tokens, context) == before).all()
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in half.parameters())


def test_the_working_copy_reads_padded_batches_as_well(tmp_path):
    encoder, tokens, network = spread(tmp_path)
    half = precision.working_copy(network)
    context = LocalContext(tmp_path)
    packed = scored(half, encoder, tokens, context)
    encoder.layouts = ("padded",)
    assert np.allclose(scored(half, encoder, tokens, context), packed, atol=0.03)
