"""What the kit and a run find of token ids, offsets, cuts and lengths that are not what they should be."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.places import placeless
from tests.plugins.letters import BOTH, Letters, LettersOptions, textclf_encoders
from tests.toys import engine, plugin, recipe
from textclf import PluginError, Tokens, Traits
from textclf.plugin.validation import validate_features
from textclf.testing import check_component

(LETTERS,) = textclf_encoders()
SOUND = Tokens(np.arange(7, dtype=np.uint16), np.array([0, 3, 3, 7]), np.array([1, 0, 4]))
OF = "not a flat array of uint16 or uint32"
FLAWS = [
    ({"ids": SOUND.ids.astype(np.int64)}, f"ids are int64[7], {OF}"),
    ({"ids": SOUND.ids.astype(np.float32)}, f"ids are float32[7], {OF}"),
    ({"ids": SOUND.ids[None]}, f"ids are uint16[1, 7], {OF}"),
    ({"ids": [*range(7)]}, f"ids are a list, {OF}"),
    ({"offsets": SOUND.offsets.astype(np.float64)}, "offsets are float64[4], not int64[texts + 1]"),
    ({"offsets": SOUND.offsets.tolist()}, "offsets are a list, not int64[texts + 1]"),
    ({"offsets": SOUND.offsets + 1}, "offsets begin at 1, not at 0"),
    ({"offsets": SOUND.offsets * 2}, "offsets end at 14, but there are 7 ids"),
    ({"offsets": SOUND.offsets // 2}, "offsets end at 3, but there are 7 ids"),
    ({"offsets": np.array([0, 5, 3, 7])}, "offsets decrease behind text 1"),
    ({"cuts": SOUND.cuts + 1}, "cut of text 1 is 1, but the text has 0 ids"),
    ({"cuts": SOUND.cuts - 1}, "cut of text 1 is -1, but the text has 0 ids"),
    ({"cuts": SOUND.cuts.astype(np.int32)}, "cuts are int32[3], not int64[texts]"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "flaw"), FLAWS)
def test_what_is_wrong_with_tokens_is_said_at_the_border(changes, flaw):
    assert validate_features(replace(SOUND, **changes), 3, "tokens") == f"Tokens whose {flaw}"


@pytest.mark.parametrize("ids", [np.uint16, np.uint32])
def test_sound_tokens_cross_it_also_from_a_file_and_of_no_text(ids, tmp_path):
    np.save(tmp_path / "ids.npy", SOUND.ids.astype(ids))
    kept = np.load(tmp_path / "ids.npy", mmap_mode="r")
    assert validate_features(replace(SOUND, ids=kept), 3, "tokens") == ""
    assert validate_features(SOUND.take(np.zeros(0, np.int64)), 0, "tokens") == ""
    assert validate_features(replace(SOUND, cuts=None), 4, "tokens") == "3 rows of features for 4 texts"


def encoding(change):
    class Encoding(Letters):
        def encode(self, texts, context):
            return change(super().encode(texts, context))

    return Encoding


TOLD = [
    (lambda tokens: replace(tokens, ids=tokens.ids.astype(np.int64)), rf"ids are int64\[\d+\], {OF}"),
    (lambda tokens: replace(tokens, ids=tokens.ids.astype(np.float32)), rf"ids are float32\[\d+\], {OF}"),
    (lambda tokens: replace(tokens, offsets=tokens.offsets + 1), "offsets begin at 1, not at 0"),
]


@pytest.mark.parametrize(("change", "flaw"), TOLD)
def test_the_kit_finds_them_in_the_layout(change, flaw):
    findings = check_component(replace(LETTERS, build=encoding(change), needs=()), "encoder")
    (failed,) = [finding for finding in findings if finding.state == "failed"]
    assert failed.clause.id == "encoder.layout"
    assert re.fullmatch(f"encode returns Tokens whose {flaw}", failed.detail)


def test_a_run_refuses_them_and_names_the_encoder(tmp_path):
    made = encoding(TOLD[2][0])
    shifted = plugin("encoder", "odd", lambda: made(LettersOptions()), traits=Traits(makes="tokens", tasks=BOTH))
    reader = plugin("trainer", "reader", Reader, traits=Traits(reads=frozenset({"tokens"}), tasks=BOTH))
    with pytest.raises(PluginError) as refused:
        engine(shifted, reader, runs=tmp_path / "runs", cache=tmp_path / "cache").run(
            recipe(encoder="odd", trainer="reader")
        )
    said = "encoder 'odd' (plugin textclf_odd): encode returned Tokens whose offsets begin at 1, not at 0"
    assert placeless(str(refused.value)) == said


class Reader:
    """A trainer that is never reached."""

    def train(self, *given):
        raise AssertionError(given)

    def restore(self, *given):
        raise AssertionError(given)


class Maskless(Letters):
    """A network that knows by the ids what fills up: its batches hold nothing else."""

    over, to = 0, 1

    def collate(self, *given):
        import torch

        ids = super().collate(*given)["ids"]
        width = -(-ids.shape[1] // self.to) * self.to
        return {"ids": torch.nn.functional.pad(ids, (0, width - ids.shape[1]))}

    def lengths(self, tokens):
        return super().lengths(tokens) + self.over


FILLED = "its padded batches are filled up and have no `attention_mask`, [rows, longest], to count in"


@pytest.mark.parametrize(
    ("over", "to", "state", "detail"),
    [
        (0, 1, "passed", ""),
        (0, 8, "not tried", FILLED),
        (0, 4000, "not tried", FILLED),
        (2, 1, "failed", r"lengths says \[.*\], the network sees \[.*\]"),
        (-2, 1, "failed", r"lengths says \[.*\], the network sees \[.*\]"),
        (4000, 8, "failed", r"lengths says \[.*\], the network sees \[.*\]"),
    ],
)
def test_lengths_are_held_against_the_widths_of_batches_without_a_mask(over, to, state, detail):
    pytest.importorskip("torch")
    made = type("Made", (Maskless,), {"over": over, "to": to})
    findings = check_component(replace(LETTERS, build=made), "encoder")
    (finding,) = [finding for finding in findings if finding.clause.id == "tokens.lengths"]
    assert finding.state == state
    assert re.fullmatch(detail if state == "failed" else re.escape(detail), finding.detail)
