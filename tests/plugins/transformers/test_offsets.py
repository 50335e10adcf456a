"""The characters that each token comes from, and the place of each token in a padded batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.hostile import HOSTILE
from tests.plugins.transformers.test_encoder import TEXTS, fitted
from tests.tiny import tiny_bert, tiny_gpt2, tiny_roberta
from textclf import Texts
from textclf.data.cleaning import whole

CPU = torch.device("cpu")


def covered(encoder, context, text: str) -> list[str]:
    (units,) = encoder.spans(Texts([text]), context)
    return [text[start:end] for ((_, start, end),) in units.values()]


def test_a_token_of_pieces_came_from_its_letters_and_an_unknown_one_from_its_word(tmp_path: Path):
    encoder, context = fitted(tiny_bert(tmp_path / "bert", TEXTS))
    assert covered(encoder, context, "a GOOD film  xé") == ["a", "GOOD", "film", "x", "é"]
    assert covered(encoder, context, "so 😀 good") == ["s", "o", "😀", "good"]
    # Accents are stripped before words are looked up: the token came from the letter.
    assert covered(encoder, context, "e\u0301") == ["e"]


def test_a_token_that_is_a_part_of_a_character_came_from_all_of_it(tmp_path: Path):
    encoder, context = fitted(tiny_roberta(tmp_path / "roberta", TEXTS))
    found = covered(encoder, context, "é😀")
    assert set(found) == {"é", "😀"}
    assert len(found) > 2


@pytest.mark.parametrize("maker", [tiny_bert, tiny_roberta, tiny_gpt2])
def test_every_token_of_hostile_texts_came_from_somewhere_in_them(maker, tmp_path: Path):
    encoder, context = fitted(maker(tmp_path / "m", TEXTS))
    texts = Texts([whole(text) for text in HOSTILE], [whole(text) for text in reversed(HOSTILE)])
    lengths = encoder.encode(texts, context).lengths()
    for row, units in enumerate(encoder.spans(texts, context)):
        assert list(units) == list(range(lengths[row]))
        for ((part, start, end),) in units.values():
            assert 0 <= start <= end <= len((texts.first, texts.second)[part][row])  # type: ignore[index]


def test_of_a_very_long_text_both_ends_are_found(tmp_path: Path):
    encoder, context = fitted(tiny_bert(tmp_path / "bert", TEXTS))
    text = "good " + "x" * 200_000 + " bad film"
    assert [piece for piece in covered(encoder, context, text) if piece.strip("x")] == ["good", "bad", "film"]


@pytest.mark.parametrize(
    ("truncate", "read"),
    [
        ("head", "a good film was not fine"),
        ("tail", "not fine a film was bad"),
        ("head_tail", "a good film film was bad"),
    ],
)
def test_what_is_read_of_a_text_is_what_was_not_cut_off(truncate: str, read: str, tmp_path: Path):
    encoder, context = fitted(tiny_bert(tmp_path / "bert", TEXTS), max_length=8, truncate=truncate)
    text = "a good film was not fine a film was bad"
    (places, nothing) = encoder.reads(Texts([text, ""]), context)
    assert " ".join(text[start:end] for _, start, end in places) == read
    assert nothing == []


@pytest.mark.parametrize("maker", [tiny_bert, tiny_roberta, tiny_gpt2])
@pytest.mark.parametrize("truncate", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("pairs", [False, True])
def test_at_its_place_in_a_batch_each_token_is_seen(maker, truncate: str, pairs: bool, tmp_path: Path):
    encoder, context = fitted(maker(tmp_path / "m", TEXTS), max_length=12, truncate=truncate)
    tokens = encoder.encode(Texts([*TEXTS, "a film " * 30], [*TEXTS[::-1], "bad"] if pairs else None), context)
    rows = np.array([5, 0, 3, 3, 2])
    ids = encoder.collate(tokens, rows, "padded", CPU)["input_ids"].numpy()
    seen = encoder.seen(tokens, rows)
    assert seen.shape == ids.shape
    specials = encoder._preprocessor.collator.template(tokens).size
    for row, found, places in zip(rows, ids, seen, strict=True):
        assert (tokens.row(row)[places[places >= 0]] == found[places >= 0]).all()
        assert (places >= 0).sum() == min(len(tokens.row(row)), 12 - specials)
        assert len(set(places[places >= 0])) == (places >= 0).sum()
