"""Scoring: the same scores for a text in every batch, in float32 unless bf16 is requested and pays."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import precision, scoring
from textclf_torch.cpu import lanes
from textclf_torch.precision import Arithmetic
from textclf_transformers import TransformerOptions, build

from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task, sentiment
from tests.plugins.torch.jobs import CPU, Changed, job_of, spread, with_memory_for
from tests.tiny import tiny_bert
from textclf import Chosen, Encoded, Progress, Split, Stopped, Texts
from textclf.testing import LocalContext


def scored(network: torch.nn.Module, encoder: Any, tokens: Any, context: Any) -> np.ndarray:
    return scoring.score(network, encoder, tokens, LABELS, CPU, context)


def test_neighbours_and_order_change_no_scores(tmp_path, monkeypatch):
    """T08: neighbours, order and the size of batches change a text's scores by rounding only."""
    encoder, tokens, network = spread(tmp_path)
    context = LocalContext(tmp_path)
    whole = scored(network, encoder, tokens, context)
    assert whole.std(axis=0).max() > 1e-3
    turned = np.arange(len(TEXTS))[::-1]
    assert np.allclose(scored(network, encoder, tokens.take(turned), context), whole[turned], atol=1e-6)
    for budget in (1, 12, 40):
        monkeypatch.setitem(scoring.SCORING_BUDGET, "cpu", budget)
        assert np.allclose(scored(network, encoder, tokens, context), whole, atol=1e-6)


def test_no_text_has_no_scores(tmp_path):
    encoder, _, network = spread(tmp_path)
    context = LocalContext(tmp_path)
    assert scored(network, encoder, encoder.encode(Texts([]), context), context).shape == (0, 2)


def test_scoring_stops_when_it_is_asked_to(tmp_path):
    encoder, tokens, network = spread(tmp_path)
    with pytest.raises(Stopped, match=r"^stopped while scoring texts$"):
        scored(network, encoder, tokens, LocalContext(tmp_path, stop_after=0))


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
    encoder, tokens, network = spread(tmp_path)
    context = LocalContext(tmp_path)
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr("textclf_torch.meter.time.monotonic", lambda: next(clock))
    scored(network, encoder, tokens, context)
    told = [event for event in context.events if isinstance(event, Progress)]
    assert (told[-1].done, told[-1].total, told[-1].unit) == (len(TEXTS), len(TEXTS), "texts")
    assert told[-1].tokens_per_second == pytest.approx(int(encoder.lengths(tokens).sum()) / 7)


@pytest.fixture
def still(tmp_path: Path) -> Task:
    """Return a task whose networks have no dropout."""
    return sentiment(tmp_path, dropout=0.0)


def test_scoring_halves_its_batches_too(still: Task):
    """T02: scores need not fit into memory at once."""
    whole = still.train()
    small = still.train(encoder=Changed(still.encoder, lambda ids, logits: logits))
    small.network.register_forward_hook(
        lambda module, args, given, output: with_memory_for(4)(given["input_ids"], output), with_kwargs=True
    )
    context, tokens = still.context(), still.encoded.features
    assert abs(small.scores(tokens, context) - whole.scores(tokens, context)).max() <= 1e-5


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


class Plain:
    """An encoder that says nothing of threads."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        if name == "concurrent":
            raise AttributeError(name)
        return getattr(self._encoder, name)


def test_threads_that_score_beside_one_another_find_the_scores_of_one(task: Task, monkeypatch: pytest.MonkeyPatch):
    """T08: which thread scores a batch changes nothing, and neighbours only rounding."""
    model, tokens = task.train(), task.encoded.features
    alone = model.scores(tokens, task.context())
    monkeypatch.setattr(scoring, "LEAST", 8)
    monkeypatch.setattr(scoring, "for_scoring", lambda *given: 3)
    seen = set()
    model.network.register_forward_hook(lambda *given: seen.add(threading.current_thread().name))
    several = [model.scores(tokens, task.context()) for _ in range(3)]
    assert len(seen) > 1
    assert np.abs(several[0] - alone).max() <= 1e-6
    assert (several[0] == several[1]).all()
    assert (several[0] == several[2]).all()


def test_scoring_in_threads_ends_with_the_first_error_or_when_asked(task: Task, monkeypatch: pytest.MonkeyPatch):
    model, tokens = task.train(), task.encoded.features
    monkeypatch.setattr(scoring, "LEAST", 8)
    monkeypatch.setattr(scoring, "for_scoring", lambda *given: 3)

    def wait(*given: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.2)  # so that the thread that asks gets batches too

    hook = model.network.register_forward_hook(wait)
    with pytest.raises(Stopped, match="stopped while scoring texts"):
        model.scores(tokens, task.context(stop_after=1))
    hook.remove()

    def fail(*given: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("this thread has no luck")

    model.network.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="this thread has no luck"):
        model.scores(tokens, task.context())


def test_as_many_threads_score_as_there_are_where_the_network_is_large(task: Task, monkeypatch: pytest.MonkeyPatch):
    network = job_of(task, lanes=1).network
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert lanes.for_scoring(network, task.encoder, CPU) == 1
    monkeypatch.setattr(lanes, "LARGE", 1)
    assert lanes.for_scoring(network, task.encoder, CPU) == 4
    assert lanes.for_scoring(network, Plain(task.encoder), CPU) == 1
    assert lanes.for_scoring(network, task.encoder, torch.device("meta")) == 1
