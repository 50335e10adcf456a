"""Texts become tokens, and tokens become the batches that a network reads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_transformers import TransformerOptions, build, restore

from tests.tiny import tiny_bert, tiny_distilbert, tiny_roberta
from textclf import Split, Texts
from textclf.testing import LocalContext

CPU = torch.device("cpu")
TEXTS = ["a good film", "the plot was very bad", "a [SEP] film </s> was [CLS] <s> great", "", "unheard-of wörds"]
MAKERS: list[Callable[..., Path]] = [tiny_bert, tiny_distilbert, tiny_roberta]


def fitted(folder: Path, texts: list[str] | None = None, **options: Any):
    context = LocalContext(folder)
    encoder = build(TransformerOptions(checkpoint=str(folder), **options))
    column = TEXTS if texts is None else texts
    encoder.fit(Split(Texts(column), np.zeros(len(column), np.int64)), context)
    return encoder, context


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "bert", TEXTS)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("truncate", ["head", "tail"])
def test_a_batch_is_what_transformers_makes_of_the_same_texts(maker, pairs: bool, truncate: str, tmp_path: Path):
    encoder, context = fitted(maker(tmp_path / "m", TEXTS), max_length=12, truncate=truncate)
    second = TEXTS[::-1] if pairs else None
    tokens = encoder.encode(Texts(TEXTS, second), context)
    batch = encoder.collate(tokens, np.arange(len(TEXTS)), "padded", CPU)
    encoder.save(tmp_path / "saved")
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    expected = theirs(TEXTS, second, padding=True, truncation=True, return_tensors="pt")
    assert set(batch) | {"attention_mask"} == set(expected)
    for name, values in expected.items():
        # Where nothing is padded there is no mask.
        assert torch.equal(batch.get(name, torch.ones_like(values)), values), name
    assert encoder.lengths(tokens).tolist() == expected["attention_mask"].sum(1).tolist()


def test_special_tokens_in_a_users_text_stay_text(bert: Path):
    encoder, context = fitted(bert)
    separator = encoder._preprocessor.tokenizer.sep_token_id
    tokens = encoder.encode(Texts(["a [SEP] film [CLS]"]), context)
    assert separator not in tokens.ids
    assert len(tokens.ids) == len(["a", "[", "sep", "]", "film", "[", "cls", "]"])


def test_what_a_tokenizer_says_of_truncation_and_padding_is_taken_off(bert: Path):
    told = json.loads((bert / "tokenizer.json").read_text())
    told["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    told["padding"] = {
        "strategy": {"Fixed": 4}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    (bert / "tokenizer.json").write_text(json.dumps(told))
    encoder, context = fitted(bert)
    assert encoder.encode(Texts(["good", "a good film was not a good film"]), context).lengths().tolist() == [1, 8]


def test_the_smaller_of_the_option_and_the_networks_positions_is_the_limit(tmp_path: Path):
    assert fitted(tiny_bert(tmp_path / "b", positions=40))[0].max_length == 40
    assert fitted(tiny_bert(tmp_path / "b", positions=40), max_length=16)[0].max_length == 16
    folder = tiny_roberta(tmp_path / "r", positions=40)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"model_max_length": 10**30}))
    assert fitted(folder)[0].max_length == 40


def test_the_fingerprint_follows_the_vocabulary_and_not_the_length(tmp_path: Path):
    first = tiny_bert(tmp_path / "a", ["one"])
    assert fitted(first, max_length=16)[0].fingerprint() == fitted(first, truncate="tail")[0].fingerprint()
    assert fitted(first)[0].fingerprint() != fitted(tiny_bert(tmp_path / "b", ["two"]))[0].fingerprint()


def test_a_restored_encoder_makes_the_same_tokens(bert: Path, tmp_path: Path):
    encoder, context = fitted(bert, max_length=20)
    encoder.save(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_bytes((bert / "config.json").read_bytes())
    again = restore(TransformerOptions(checkpoint="gone", max_length=20), tmp_path / "saved")
    assert again.encode(Texts(TEXTS), context).ids.tolist() == encoder.encode(Texts(TEXTS), context).ids.tolist()
    assert again.fingerprint() == encoder.fingerprint()
    assert again.max_length == 20


def test_a_checkpoint_for_another_language_is_warned_of(bert: Path):
    _, context = fitted(bert, ["прекрасный фильм", "плохой фильм"])
    assert context.warnings == [
        f"100% of the training texts' tokens are unknown to the tokenizer of '{bert}'; is it the checkpoint for this "
        "language?"
    ]


def test_a_text_of_ten_megabytes_takes_under_a_second_and_is_counted_as_cut(bert: Path):
    """D12: one text of 10 MB goes through, and counts as cut."""
    encoder, context = fitted(bert)
    begun = time.process_time()  # which other work on the machine changes little
    tokens = encoder.encode(Texts(["good film " * 1_000_000, "good"]), context)
    assert time.process_time() - begun < 1
    assert encoder.cut(tokens).tolist() == [True, False]
    assert context.warnings == ["texts of more than 12,800 characters: 1; only both ends of them are read"]


def test_naughty_strings_encode(bert: Path):
    """D11: NUL, zero-width and right-to-left marks are text."""
    encoder, context = fitted(bert)
    assert len(encoder.encode(Texts(["\x00", "\u200b", "\u202egood", "\ufffd", "\U0001f600"]), context)) == 5


def test_no_text_is_an_empty_batch_of_tokens(bert: Path):
    encoder, context = fitted(bert)
    assert len(encoder.encode(Texts([]), context)) == 0
    assert len(encoder.encode(Texts([], []), context)) == 0
