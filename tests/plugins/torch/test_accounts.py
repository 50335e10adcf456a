"""The throughput of a training: real tokens, the share of the machine's peak, the seconds of each part."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from textclf_torch import accounts, batches, forecast, loop, precision, state
from textclf_transformers import TransformerOptions, build

from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task, sentiment
from tests.plugins.torch.jobs import CPU, job_of
from tests.tiny import tiny_bert, tiny_distilbert, tiny_gpt2
from textclf import Accounted, Encoded, Engine, Split, Stopped, Texts
from textclf.testing import LocalContext


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def told(context: LocalContext, kind: type) -> list[Any]:
    return [event for event in context.events if isinstance(event, kind)]


def wide(folder: Path, texts: list[str]) -> tuple[Task, LocalContext]:
    """Return a task for a network whose products are large enough to be measured."""
    checkpoint = tiny_bert(folder / "wide", texts, layers=2, hidden=256)
    encoder = build(TransformerOptions(checkpoint=str(checkpoint)))
    context = LocalContext(folder, seed=7, cache=folder / "cache")
    truth = np.arange(len(texts)) % 2
    encoder.fit(Split(Texts(texts), truth), context)
    return Task(folder, encoder, Encoded(encoder.encode(Texts(texts), context), truth), LABELS), context


def test_a_training_tells_what_it_did_and_where_its_time_went(task: Task):
    context = task.context()
    task.train(context, validate=True, epochs=2)
    [event] = told(context, Accounted)
    lengths = task.encoder.lengths(task.encoded.features)
    assert (event.stage, event.tokens, event.padding, event.peak_share) == ("train", 2 * lengths.sum(), 0.0, None)
    assert {"collating", "forward", "backward", "optimiser", "judging", "saving", "other"} <= set(event.parts)
    assert list(event.parts.values()) == sorted(event.parts.values(), reverse=True)
    assert event.seconds == pytest.approx(sum(event.parts.values()), abs=0.01)
    trained = event.seconds - event.parts["judging"]
    # Seconds are told to the millisecond, which is much of them on a fast processor.
    assert event.tokens / event.tokens_per_second == pytest.approx(trained, rel=0.01, abs=0.0011)
    assert json.loads(json.dumps(event.to_json()))["event"] == "Accounted"


def test_padding_is_the_share_of_places_without_a_token(tmp_path: Path):
    uneven = ["good film", "the plot was very good and the film was not bad", "bad", "a story"]
    task, context = wide(tmp_path, uneven)
    job = job_of(task, context=context, layout="padded", batch_size=4, epochs=1, micro_batch=4)
    loop.run(job, state.State(4))
    [event] = told(context, Accounted)
    lengths = task.encoder.lengths(task.encoded.features)
    groups = loop.micro_batches(np.arange(4), lengths, 4, loop.OVERHEAD["cpu"])
    places = sum(len(group) * int(lengths[group].max()) for group in groups)
    assert event.padding == pytest.approx(1 - lengths.sum() / places, abs=1e-4)
    assert event.padding > 0


def test_the_share_of_the_peak_is_nominal_work_over_measured_bursts(tmp_path: Path):
    task, context = wide(tmp_path, TEXTS)
    job = job_of(task, context=context, batch_size=6)
    loop.run(job, state.State(6))
    [event] = told(context, Accounted)
    products = accounts.products_of(job.network)
    assert products is not None
    assert event.peak_share is not None
    lengths = job.lengths
    work = 3 * 3 * products.forward_flops(int(lengths.sum()), float(lengths @ lengths))
    assert 0 < event.peak_share < 1.5
    # What the share says the peak is lies where the machine's own bursts lie.
    implied = work / (event.seconds - event.parts.get("judging", 0)) / event.peak_share
    # A processor's matrix units may be far faster in bf16 than in float32, so it is held against the same mode.
    found = precision.find(job.network, context)
    assert found is not None
    assert 0.1 < implied / accounts.peak(products, found.fastest, CPU) < 10


def test_the_formula_of_work_is_that_of_the_field(tmp_path: Path):
    task, _ = wide(tmp_path, TEXTS)
    products = accounts.products_of(task.encoder.build_network(LABELS))
    hidden, inner, layers = 256, 512, 2
    assert products == accounts.Products((*((hidden, hidden),) * 4, (inner, hidden), (hidden, inner)) * layers, layers)
    per_token = 2 * layers * (4 * hidden**2 + 2 * hidden * inner) + 4 * layers * hidden * 27
    assert products.forward_flops(27, 27.0**2) == 27 * per_token
    # MiniLM-L6 at 27 tokens, forward and backward: 64 MFLOP a token.
    minilm = forecast._SMALL_PRODUCTS
    assert 3 * minilm.forward_flops(27, 27.0**2) / 27 == pytest.approx(64.4e6, rel=0.01)
    assert accounts.products_of(torch.nn.Linear(3, 3)) is None


@pytest.mark.parametrize(("maker", "inner"), [(tiny_distilbert, 64), (tiny_gpt2, 128)])
def test_layers_of_other_architectures_are_found_by_their_shape(maker: Any, inner: int, tmp_path: Path):
    encoder = build(TransformerOptions(checkpoint=str(maker(tmp_path / "other", TEXTS))))
    encoder.fit(Split(Texts(TEXTS), TRUTH), LocalContext(tmp_path))
    products = accounts.products_of(encoder.build_network(LABELS))
    assert products is not None
    assert (products.layers, products.width, products.weights) == (2, 32, 2 * (4 * 32 * 32 + 2 * 32 * inner))


def test_a_resumed_training_accounts_for_its_own_part(task: Task):
    store = task.store()
    with pytest.raises(Stopped):
        task.train(task.context(checkpoints=store, stop_after=4), epochs=3)
    context = task.context(checkpoints=store)
    task.train(context, epochs=3)
    event = told(context, Accounted)[0]
    assert event.first_step == 4
    order = [batches.order(len(TEXTS), epoch, context.seed) for epoch in (1, 2)]
    lengths = task.encoder.lengths(task.encoded.features)
    assert event.tokens == lengths[np.concatenate([order[0][6:], order[1]])].sum()


@pytest.mark.gpu
def test_on_a_gpu_the_parts_are_the_streams_time_and_add_up_to_the_clocks(tmp_path: Path):
    task, context = wide(tmp_path, TEXTS * 8)
    began = time.perf_counter()
    task.train(context, device="cuda", batch_size=16, epochs=3)
    took = time.perf_counter() - began
    event = told(context, Accounted)[0]
    assert {"collating", "forward", "backward", "optimiser"} <= set(event.parts)
    assert 0.1 * took < sum(event.parts.values()) < took
    assert event.peak_share is not None
    assert 0 < event.peak_share < 1


def test_the_record_the_report_and_the_recipe_of_a_run_keep_what_was_measured(tmp_path: Path):
    checkpoint = tiny_bert(tmp_path / "tiny", TEXTS)
    recipe = {
        "encoder": {"use": "bert", "checkpoint": str(checkpoint)},
        "trainer": {"use": "torch", "device": "cpu", "batch_size": 6, "epochs": 1},
        "report": {"draws": 100},
    }
    names = [LABELS.names[i] for i in TRUTH]
    result = Engine().run(recipe, (TEXTS, names))
    record = json.loads((result.folder / "record.json").read_text())
    account = record["accounts"]["train"]
    assert result.report.accounts["train"] == account  # type: ignore[union-attr]
    assert result.report.tokens_per_second == account["tokens_per_second"]  # type: ignore[union-attr]
    scored = record["accounts"]["score"]
    assert scored["tokens"] > 0
    # Seconds are told to the millisecond, which is much of them on a fast processor.
    assert scored["tokens"] / scored["tokens_per_second"] == pytest.approx(scored["seconds"], rel=0.01, abs=0.0006)
    assert set(record["forecasts"]["train"]) == {"memory", "memory_free", "disk", "disk_free", "advice"}
    trainer = yaml.safe_load((result.folder / "recipe.yaml").read_text())["trainer"]
    assert (trainer["precision"], trainer["matmul"]) == ("float32", "highest")
