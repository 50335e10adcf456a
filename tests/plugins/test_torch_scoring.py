"""Scoring: the same scores in any company, in float32 unless bf16 is asked for and pays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import precision, scoring
from textclf_torch.precision import Arithmetic
from textclf_transformers import TransformerOptions, build

from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, sentiment
from tests.tiny import tiny_bert, tiny_distilbert, tiny_roberta
from textclf import Chosen, Encoded, Progress, Split, Stopped, Texts
from textclf.testing import LocalContext

CPU = torch.device("cpu")


def wide(folder: Path, maker: Any = tiny_bert) -> tuple[Any, Any, torch.nn.Module]:
    """Return an encoder, tokens and a network whose scores are spread."""
    encoder = build(TransformerOptions(checkpoint=str(maker(folder / "wide", TEXTS))))
    context = LocalContext(folder)
    encoder.fit(Split(Texts(TEXTS), TRUTH), context)
    torch.manual_seed(1)
    network = encoder.build_network(LABELS)
    with torch.no_grad():
        for parameter in network.parameters():
            # Fresh weights are so small that all texts get nearly the same scores.
            parameter.mul_(6.0 if parameter.ndim > 1 else 1.0)
    return encoder, encoder.encode(Texts(TEXTS), context), network


def scored(network: torch.nn.Module, encoder: Any, tokens: Any, context: Any) -> np.ndarray:
    return scoring.score(network, encoder, tokens, LABELS, CPU, context)


def test_neighbours_and_order_change_no_scores(tmp_path, monkeypatch):
    """T08: neighbours, order and the size of batches change a text's scores by rounding only."""
    encoder, tokens, network = wide(tmp_path)
    context = LocalContext(tmp_path)
    whole = scored(network, encoder, tokens, context)
    assert whole.std(axis=0).max() > 1e-3
    turned = np.arange(len(TEXTS))[::-1]
    assert np.allclose(scored(network, encoder, tokens.take(turned), context), whole[turned], atol=1e-6)
    for budget in (1, 12, 40):
        monkeypatch.setitem(scoring.SCORING_BUDGET, "cpu", budget)
        assert np.allclose(scored(network, encoder, tokens, context), whole, atol=1e-6)


def test_no_text_has_no_scores(tmp_path):
    encoder, _, network = wide(tmp_path)
    context = LocalContext(tmp_path)
    assert scored(network, encoder, encoder.encode(Texts([]), context), context).shape == (0, 2)


def test_scoring_stops_when_it_is_asked_to(tmp_path):
    encoder, tokens, network = wide(tmp_path)
    with pytest.raises(Stopped, match=r"^stopped while scoring texts$"):
        scored(network, encoder, tokens, LocalContext(tmp_path, stop_after=0))


@pytest.mark.parametrize("maker", [tiny_bert, tiny_roberta, tiny_distilbert])
def test_the_working_copy_gives_nearly_the_same_scores_and_leaves_the_network_alone(maker, tmp_path):
    encoder, tokens, network = wide(tmp_path, maker)
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
    encoder, tokens, network = wide(tmp_path)
    half = precision.working_copy(network)
    context = LocalContext(tmp_path)
    packed = scored(half, encoder, tokens, context)
    encoder.layouts = ("padded",)
    assert np.allclose(scored(half, encoder, tokens, context), packed, atol=0.03)


def choices(context: LocalContext) -> list[tuple[Any, str]]:
    told = [event for event in context.events if isinstance(event, Chosen)]
    return [(event.choice, event.why) for event in told if event.what == "scoring"]


def test_fast_scoring_says_which_arithmetic_it_is_in(tmp_path):
    task = sentiment(tmp_path)
    model = task.train(epochs=1)
    plain, fast = task.context(), task.context(fast=True)
    scores = model.scores(task.encoded.features, plain)
    # So small a network is in float32 whatever the machine.
    assert (model.scores(task.encoded.features, fast) == scores).all()
    assert choices(plain) == []
    assert choices(fast) == [("float32", "too small to measure")]


def test_fast_scoring_is_in_bf16_where_that_was_measured_to_pay(tmp_path):
    checkpoint = tiny_bert(tmp_path / "wide", TEXTS, layers=1, hidden=256)
    encoder = build(TransformerOptions(checkpoint=str(checkpoint)))
    context = LocalContext(tmp_path, cache=tmp_path / "cache")
    encoder.fit(Split(Texts(TEXTS), TRUTH), context)
    task = sentiment(tmp_path)
    task.encoded = Encoded(encoder.encode(Texts(TEXTS), context), TRUTH)
    model = task.train(encoder=encoder, epochs=1, precision="float32", matmul="highest")
    precision.find(model.network, context)
    (kept,) = (tmp_path / "cache" / "arithmetic").iterdir()
    kept.write_text(json.dumps(json.loads(kept.read_text("utf-8")) | {"bf16": True, "medium": False}), "utf-8")
    scores = model.scores(task.encoded.features, context)
    fast = LocalContext(tmp_path, cache=tmp_path / "cache", fast=True)
    halved = model.scores(task.encoded.features, fast)
    assert [choice for choice, _ in choices(fast)] == ["bf16"]
    assert 0 < np.abs(halved - scores).max() < 0.02
    # The copy is kept, and the float32 network is still there.
    first = model._half
    assert (model.scores(task.encoded.features, fast) == halved).all()
    assert model._half is first
    assert (model.scores(task.encoded.features, context) == scores).all()


@pytest.mark.parametrize(("asked", "expected"), [("auto", "medium"), ("medium", "medium"), ("highest", "highest")])
def test_products_are_exact_where_that_was_asked_for(asked, expected, tmp_path, monkeypatch):
    model = sentiment(tmp_path).train(epochs=1, matmul=asked)
    model._numbers = (Arithmetic("float32", "medium"), "measured")
    seen = []
    network = model.network.forward
    monkeypatch.setattr(
        model.network, "forward", lambda **batch: seen.append(torch.get_float32_matmul_precision()) or network(**batch)
    )
    task = sentiment(tmp_path / "again")
    model.scores(task.encoded.features, task.context())
    assert set(seen) == {expected}


def test_progress_counts_texts_and_real_tokens(tmp_path, monkeypatch):
    encoder, tokens, network = wide(tmp_path)
    context = LocalContext(tmp_path)
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr("textclf_torch.meter.time.monotonic", lambda: next(clock))
    scored(network, encoder, tokens, context)
    told = [event for event in context.events if isinstance(event, Progress)]
    assert (told[-1].done, told[-1].total, told[-1].unit) == (len(TEXTS), len(TEXTS), "texts")
    assert told[-1].tokens_per_second == pytest.approx(int(encoder.lengths(tokens).sum()) / 7)
