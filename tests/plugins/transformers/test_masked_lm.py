"""Adaptation by masked words: the published shares and loss, on the right texts only, resumed to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from textclf_torch import loop
from textclf_torch.loss import objectives_of, options_of
from textclf_torch.options import TorchOptions
from textclf_torch.precision import Arithmetic
from textclf_torch.state import State
from textclf_torch.trainer import make_job
from textclf_transformers import BertOptions, TransformerOptions, build
from textclf_transformers.masked_lm import Masking
from textclf_transformers.options import AdaptOptions
from textclf_transformers.tokenizer import load_tokenizer

from tests import tiny
from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task, sentiment
from tests.tiny import tiny_bert, tiny_gpt2, tiny_roberta
from textclf import (
    ArtefactError,
    Dataset,
    Encoded,
    Engine,
    EpochFinished,
    Progress,
    RecipeError,
    Split,
    Stopped,
    Texts,
    Tokens,
)
from textclf.testing import LocalContext

SHARE = 0.15


def masking(tokenizer: Any, share: float = SHARE, *, whole_words: bool = False) -> Masking:
    return Masking.of(tokenizer, share, whole_words=whole_words, checkpoint="tiny")


def begins(size: int) -> np.ndarray:
    return np.arange(size) == 0


def tallies(rule: Masking, lengths: range, draws: int) -> dict[str, tuple[int, int]]:
    """Return how often something happened, of how many times it could have."""
    random, many, of = np.random.default_rng(5), {"masked": 0, "swapped": 0, "kept": 0}, 0
    for draw in range(draws):
        for length in lengths:
            ids = random.choice(rule.others, size=length)
            hidden, seen = rule.draw(ids, begins(length), (draw, length))
            assert np.array_equal(seen[~hidden], ids[~hidden])
            many["masked"] += int((seen[hidden] == rule.mask).sum())
            many["swapped"] += int(((seen != ids) & (seen != rule.mask)).sum())
            many["kept"] += int((seen[hidden] == ids[hidden]).sum())
            of += length
    found = sum(many.values())
    return {"hidden": (found, of), **{name: (count, found) for name, count in many.items()}}


def strange(rule: Masking, lengths: range = range(1, 40), draws: int = 60) -> list[str]:
    """Return which proportions are not those of the rule, by an exact test at one in ten thousand."""
    same = 1 / len(rule.others)  # a random token may be the one that stood there
    expected = {"hidden": SHARE, "masked": 0.8, "swapped": 0.1 * (1 - same), "kept": 0.1 * (1 + same)}
    counts = tallies(rule, lengths, draws)
    return [name for name, share in expected.items() if binomtest(*counts[name], share).pvalue < 1e-4]


def test_hidden_tokens_have_the_published_proportions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rule = masking(load_tokenizer(tiny_bert(tmp_path), "right"))
    assert strange(rule) == []
    assert strange(rule, range(2, 5), 2000) == []  # in very short texts as well
    # The same test sees proportions that are slightly wrong.
    assert strange(masking(load_tokenizer(tmp_path, "right"), 0.16)) == ["hidden"]
    monkeypatch.setattr("textclf_transformers.masked_lm.MASKED", 0.77)
    assert strange(rule) == ["masked", "kept"]


def test_random_tokens_are_drawn_from_all_words_evenly(tmp_path: Path):
    rule = masking(load_tokenizer(tiny_bert(tmp_path), "right"))
    drawn: list[int] = []
    ids = np.full(60, rule.others[3])
    for draw in range(4000):
        _, seen = rule.draw(ids, begins(60), (draw,))
        drawn += [token for token in seen if token not in (ids[0], rule.mask)]
    counts = np.bincount(drawn, minlength=len(rule.special))
    assert not counts[rule.special].any()
    others = np.delete(rule.others, 3)
    expected = len(drawn) / len(others)
    assert (np.abs(counts[others] - expected) < 6 * np.sqrt(expected)).all()


def test_special_tokens_are_never_hidden(tmp_path: Path):
    tokenizer = load_tokenizer(tiny_bert(tmp_path), "right")
    rule = masking(tokenizer, 0.9)
    ids = np.array([tokenizer.unk_token_id, rule.others[0]] * 20)
    hidden = np.array([rule.draw(ids, begins(40), (draw,))[0] for draw in range(50)])
    assert not hidden[:, ::2].any()
    assert 0.85 < hidden[:, 1::2].mean() < 0.95


def test_a_draw_depends_on_its_seed_alone(tmp_path: Path):
    rule = masking(load_tokenizer(tiny_bert(tmp_path), "right"))
    ids = np.resize(rule.others, 30)
    first, again, other = (rule.draw(ids, begins(30), seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("make", [tiny_bert, tiny_roberta], ids=["BERT", "RoBERTa"])
def test_words_are_hidden_as_a_whole(make: Any, tmp_path: Path):
    texts = ["unbelievable films", "an unbelievably long story", "films"]
    tokenizer = load_tokenizer(make(tmp_path, texts[2:]), "right")
    rule = masking(tokenizer, 0.4, whole_words=True)
    found = tokenizer(texts[1] + " " + texts[0], add_special_tokens=False)
    ids, words = np.array(found["input_ids"]), np.array(found.word_ids())
    assert len(ids) > len(set(words))
    parted = set()
    for draw in range(200):
        hidden, _ = rule.draw(ids, begins(len(ids)), (draw,))
        parted |= {word for word in words if len(set(hidden[words == word])) > 1}
    assert parted == set()
    single = masking(tokenizer, 0.4)
    assert any(
        len(set(single.draw(ids, begins(len(ids)), (draw,))[0][words == word])) > 1
        for draw in range(50)
        for word in words
    )


def test_a_text_begins_with_a_word_though_its_token_goes_on_with_one(tmp_path: Path):
    tokenizer = load_tokenizer(tiny_roberta(tmp_path), "right")
    rule = masking(tokenizer, 0.5, whole_words=True)
    assert rule.inside is not None
    inside = np.flatnonzero(rule.inside & ~rule.special)[:1]
    ids = np.repeat(inside, 4)
    starts = np.array([True, False, True, False])
    hidden = np.array([rule.draw(ids, starts, (draw,))[0] for draw in range(50)])
    assert np.array_equal(hidden[:, 0], hidden[:, 1])
    assert np.array_equal(hidden[:, 2], hidden[:, 3])
    assert (hidden.sum(axis=1) == 2).all()  # one word of the two


def test_a_tokenizer_without_a_mask_hides_nothing(tmp_path: Path):
    with pytest.raises(ArtefactError) as raised:
        masking(load_tokenizer(tiny_gpt2(tmp_path), "right"))
    assert str(raised.value) == (
        "the tokenizer of 'tiny' has no mask token, so no words can be hidden from its network; remove encoder.adapt"
    )


CPU = torch.device("cpu")
FREE = [f"{start} plot of the film was {word}" for start in ("one", "that", "this") for word in ("thin", "new", "long")]


def adapted(task: Task, unlabelled: list[str] = FREE) -> Task:
    """Give the task texts without labels."""
    pairs = task.encoded.features.cuts is not None
    tokens = task.encoder.encode(Texts(unlabelled, unlabelled if pairs else None), None)
    task.encoded = Encoded(task.encoded.features, task.encoded.labels, tokens)
    return task


def task_of(folder: Path, **options: Any) -> Task:
    adapt = AdaptOptions(epochs=2, mask=0.3, learning_rate=3e-3, batch_size=6)
    return adapted(sentiment(folder, adapt=adapt, **options))


def weights(network: torch.nn.Module) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in network.state_dict().items()}


def epochs_of(context: LocalContext) -> list[tuple[str, int, float]]:
    return [(e.objective, e.epoch, e.loss) for e in context.events if isinstance(e, EpochFinished)]


@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize("make", ["bert", "distilbert", "roberta", "electra", "modernbert"])
def test_the_loss_is_that_of_the_library_s_own_network(make: str, layout: Any, tmp_path: Path):
    from transformers import AutoModelForMaskedLM

    kind = getattr(tiny, f"tiny_{make}")
    options = TransformerOptions(checkpoint=str(kind(tmp_path, TEXTS)), adapt=AdaptOptions(mask=0.3), max_length=8)
    encoder = build(options)
    texts = Texts([*TEXTS, "", " ".join(TEXTS)])
    encoder.fit(Split(texts, np.zeros(len(texts), np.int64)), LocalContext(tmp_path))
    torch.manual_seed(0)
    network = encoder.build_network(LABELS).eval()
    if layout not in encoder.layouts:
        pytest.skip(f"{make} is not packed: {encoder.unpacked}")
    (objective,) = encoder.objectives(encoder.encode(texts, None), None)
    masked = objective.build_network(network).eval()
    rows, draw = np.array([19, 3, 18, 7]), (1, 2)
    with torch.no_grad():
        losses = masked(**objective.collate(rows, draw, layout, CPU))
    batch = objective.collate(rows, draw, "padded", CPU)
    targets = torch.full(batch["input_ids"].shape, -100)
    targets.view(-1)[batch["places"]] = batch["targets"]
    whole = AutoModelForMaskedLM.from_config(network.config).eval()
    setattr(whole, network.base_model_prefix, network.base_model)
    whole.tie_weights()
    parts = zip(masked.head.parameters(), _head(whole, masked), strict=True)
    for ours, theirs in parts:
        theirs.data = ours.data
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
    with torch.no_grad():
        logits = whole(**inputs).logits
    counts = objective.counts(rows, draw)
    for text in range(len(rows)):
        wanted = torch.nn.functional.cross_entropy(logits[text], targets[text], ignore_index=-100, reduction="sum")
        assert float(losses[text]) == pytest.approx(float(wanted), abs=1e-4)
        assert int((targets[text] != -100).sum()) == counts[text]
    assert counts.sum() > 3


def _head(whole: Any, masked: Any) -> list[torch.nn.Parameter]:
    """Return the parameters of the library's head in the order of ours."""
    body = {id(p) for p in masked.body.parameters()}
    shared = [p for p in masked.head.parameters() if id(p) in body]
    named = {name: p for name, p in whole.named_parameters() if not name.startswith(f"{whole.base_model_prefix}.")}
    own = iter(named.values())
    return [p if id(p) in {id(s) for s in shared} else next(own) for p in masked.head.parameters()]


def test_the_head_that_a_checkpoint_brings_is_gone_on_with(tmp_path: Path):
    from transformers import AutoModelForMaskedLM

    folder = tiny.tiny_bert(tmp_path, TEXTS)
    brought = AutoModelForMaskedLM.from_pretrained(str(folder))
    with torch.no_grad():
        brought.cls.predictions.transform.dense.weight.fill_(0.5)
    brought.save_pretrained(str(folder))
    encoder = build(TransformerOptions(checkpoint=str(folder), adapt=AdaptOptions()))
    texts, context = Texts(TEXTS), LocalContext(tmp_path)
    encoder.fit(Split(texts, TRUTH), context)
    network = encoder.build_network(LABELS)
    masked = encoder.objectives(encoder.encode(texts, None), None)[0].build_network(network)
    assert bool((masked.head.predictions.transform.dense.weight == 0.5).all())
    assert masked.head.predictions.decoder.weight is network.get_input_embeddings().weight
    assert not any("head for masked words" in warning for warning in context.warnings)


def test_a_checkpoint_without_a_head_for_masked_words_is_warned_of(tmp_path: Path):
    context = LocalContext(tmp_path)
    task = task_of(tmp_path)
    task.encoder.fit(Split(Texts(TEXTS), TRUTH), context)
    objectives_of(task.encoder, task.encoded)[0].build_network(task.encoder.build_network(LABELS))
    assert context.warnings[-1] == (
        f"the weights in '{tmp_path / 'tiny'}' have no head for masked words: a new one must be learned first, "
        "faster than the rest, or adapting may do harm; set encoder.adapt.head_learning_rate to 1e-3, and "
        "compare with a run without encoder.adapt"
    )


def test_a_head_that_is_new_learns_at_a_rate_of_its_own(tmp_path: Path):
    context = LocalContext(tmp_path)
    adapt = AdaptOptions(epochs=2, mask=0.3, learning_rate=1e-5, head_learning_rate=1e-2, batch_size=6)
    task = adapted(sentiment(tmp_path, adapt=adapt))
    task.encoder.fit(Split(Texts(TEXTS), TRUTH), context)
    (objective,) = objectives_of(task.encoder, task.encoded)
    torch.manual_seed(0)
    job = make_job(
        options_of(TorchOptions(device="cpu"), objective), task.encoder, task.encoder.build_network(LABELS),
        task.encoded, None, LABELS, Arithmetic(), CPU, "packed", context, objective=objective,
    )  # fmt: skip
    before = {name: tensor.clone() for name, tensor in job.network.state_dict().items()}
    loop.take_step(job, State(6, step=1), job.rows(1))
    moved = {name: float((after - before[name]).abs().max()) for name, after in job.network.state_dict().items()}
    assert moved["head.predictions.transform.dense.weight"] > 100 * moved["body.encoder.layer.0.output.dense.weight"]
    # What the head shares with the body learns as the body does.
    assert moved["head.predictions.decoder.weight"] == moved["body.embeddings.word_embeddings.weight"] < 2e-5
    assert not any("head for masked words" in warning for warning in context.warnings)


def test_what_is_learned_from_texts_is_learned_by_the_classifier(tmp_path: Path):
    context = LocalContext(tmp_path)
    task = task_of(tmp_path)
    model = task.train(context, epochs=1)
    told = epochs_of(context)
    assert [(name, epoch) for name, epoch, _ in told] == [("masked-lm", 1), ("masked-lm", 2), ("", 1)]
    assert told[1][2] < told[0][2]
    plain = sentiment(tmp_path / "plain").train(epochs=1)
    layer = "bert.encoder.layer.0.intermediate.dense.weight"
    assert not torch.equal(model.network.state_dict()[layer], plain.network.state_dict()[layer])
    (objective,) = objectives_of(task.encoder, task.encoded)
    assert len(objective.tokens) == len(TEXTS) + len(FREE)


@pytest.mark.parametrize(
    "options",
    [{}, {"lanes": 2, "micro_batch": 2}, {"precision": "bf16", "optimizer": "bertadam"}, {"unfreeze": 0.5}],
    ids=["one lane", "two lanes", "bf16 with bertadam", "unfreezing after it"],
)
def test_an_adaptation_that_is_stopped_after_each_step_has_the_same_bits(options: dict[str, Any], tmp_path: Path):
    """T04: in either phase, and between them."""
    task = task_of(tmp_path)
    context = task.context()
    whole = task.train(context, **options)
    told: list[tuple[str, int, float]] = []
    reasons, resumed = [], None
    while resumed is None:
        again = task.context(checkpoints=task.store(), stop_after=1)
        try:
            resumed = task.train(again, **options)
        except Stopped as stopped:
            reasons.append(str(stopped).partition(" after")[0])
        told += epochs_of(again)
    assert reasons.count("masked-lm was stopped") >= 2 * 5 - 1
    assert reasons.count("training was stopped") >= 2 * 3 - 1
    assert weights(resumed.network) == weights(whole.network)
    assert told == epochs_of(context)


def test_pairs_are_adapted_to_as_pairs(tmp_path: Path):
    task = task_of(tmp_path, pairs=True)
    context = task.context()
    task.train(context, epochs=1)
    assert {name for name, _, _ in epochs_of(context)} == {"masked-lm", ""}


def whole_run(folder: Path, unlabelled: list[str] | None, events: list[Any], **trainer: Any) -> Any:
    checkpoint = str(tiny.tiny_bert(folder, [*TEXTS, *FREE]))
    names = ["positive" if truth else "negative" for truth in TRUTH]
    data = Dataset(LABELS, Split(Texts([f"{text} {i}" for i in range(4) for text in TEXTS]), np.tile(TRUTH, 4)))
    data = Dataset(LABELS, data.train, unlabelled=None if unlabelled is None else Texts(unlabelled))
    assert len(names) == len(TEXTS)
    given = {"epochs": 1, "device": "cpu", "batch_size": 8, **trainer}
    adapt = {"epochs": 1.5, "mask": 0.2, "batch_size": 8}
    recipe = {
        "name": "adapted", "split": {"test": 0.2}, "metrics": ["accuracy"], "report": {"draws": 100},
        "encoder": {"use": "transformer", "checkpoint": checkpoint, "adapt": adapt},
        "trainer": {"use": "torch", **given},
    }  # fmt: skip
    return Engine(observers=[events.append]).run(recipe, data)


def test_a_run_adapts_to_all_texts_but_those_it_is_judged_by(tmp_path: Path):
    events: list[Any] = []
    held = [f"{text} {i}".upper() for i in range(4) for text in TEXTS]
    result = whole_run(tmp_path, [*held, *FREE], events)
    test = result.report.sizes["test"]
    assert result.report.split["unlabelled"] == len(held) + len(FREE) - test
    assert f"{test} of {len(held) + len(FREE)} texts without labels also stand in the validation or test data; " in str(
        result.report.warnings
    )
    learned = result.report.objectives["masked-lm"]
    assert learned["epochs"] == 1.5
    assert learned["last_loss"] > 0
    texts = result.report.sizes["train"] + result.report.split["unlabelled"]
    assert result.report.accounts["masked-lm"]["tokens"] > 1.4 * 4 * texts
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert set(stages) <= {"masked-lm", "train", "score", "encode"}


def test_two_processes_adapt_to_the_same_weights_as_one(tmp_path: Path):
    """T03: the loss of a step is the mean over all hidden tokens, whichever process has them."""
    one = whole_run(tmp_path, FREE, [], devices=1)
    two = whole_run(tmp_path, FREE, [], devices=2)
    assert one.report.objectives["masked-lm"]["last_loss"] == pytest.approx(
        two.report.objectives["masked-lm"]["last_loss"], rel=0.02
    )


def test_wrong_options_of_an_adaptation_are_named_where_they_stand():
    recipe = {"dataset": "reviews", "trainer": "torch", "encoder": {"use": "bert", "adapt": {"epoch": 1, "mask": 2}}}
    with pytest.raises(RecipeError) as raised:
        Engine().plan(recipe)
    told = [str(problem) for problem in raised.value.problems]
    assert len(told) == 2
    assert any("encoder.adapt.epoch" in each and "did you mean 'epochs'" in each for each in told)
    assert any("encoder.adapt.mask" in each for each in told)
    assert BertOptions.model_fields["adapt"].default is None


def test_tokens_of_both_kinds_stand_one_after_the_other(tmp_path: Path):
    task = task_of(tmp_path)
    train, free = task.encoded.features, task.encoded.unlabelled
    assert isinstance(free, Tokens)
    (objective,) = objectives_of(task.encoder, task.encoded)
    for row in range(len(objective.tokens)):
        source, at = (train, row) if row < len(train) else (free, row - len(train))
        assert objective.tokens.row(row).tolist() == source.row(at).tolist()
