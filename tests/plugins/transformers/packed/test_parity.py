"""Packed rows in half precision are used only where they give what padded batches give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from textclf_transformers import TransformerOptions, build
from textclf_transformers.packed import parity
from textclf_transformers.packed.attention import Rule, attend, by_length, within

from tests.tiny import tiny_bert
from textclf import Labels, Split, Texts
from textclf.testing import LocalContext

LENGTHS = (3, 9, 9, 14)
BORDERS = torch.tensor([0, 3, 12, 21, 35], dtype=torch.int32)


@pytest.fixture
def network(tmp_path):
    return encoded(tmp_path)[1]


def encoded(folder, **options):
    encoder = build(TransformerOptions(checkpoint=str(tiny_bert(folder)), **options))
    encoder.fit(Split(Texts(["good"]), np.zeros(1, np.int64)), LocalContext(folder))
    return encoder, encoder.build_network(Labels(("no", "yes")))


def right(query, key, value, lengths, borders, rule):
    return by_length(query, key, value, lengths, rule)


def why(network, dtype=torch.bfloat16, kernel=right):
    from textclf_transformers.batch import Collator, Template

    template = Template(((2,), (3,)), ((0,), (0,)), (0,))
    return parity.why_padded(network, Collator(template, template, 64, "head", 0, 0, True), dtype, kernel)


def plain(query, key, value, lengths, *rest):
    return by_length(query, key, value, lengths, Rule())


def mixed(query, key, value, lengths, *rest):
    """Attend over all texts as if they were one."""
    return by_length(query, key, value, (len(key),), Rule())[: len(query)]


def test_packed_rows_in_bf16_are_taken_where_attention_and_logits_are_right(network):
    assert why(network) == why(network.train()) == ""
    assert network.training


def test_a_kernel_that_mixes_texts_is_found_out(network):
    assert why(network, kernel=mixed).startswith("the results of attention of variable length differ by ")


def test_windows_are_tried_where_a_network_has_them(network):
    assert why(network, kernel=plain) == ""
    network.config.local_attention = 4
    assert why(network) == ""
    assert why(network, kernel=plain).startswith("the results of attention of variable length differ by ")


def test_a_kernel_with_wrong_gradients_is_found_out(network):
    def astray(query, key, value, lengths, *rest):
        return plain(query, key.detach(), value, lengths) + 0 * key.sum()

    assert why(network, kernel=astray).startswith("the gradients of attention of variable length differ by ")


def test_a_kernel_that_is_not_there_is_a_reason(network):
    def absent(*arguments):
        raise RuntimeError("no kernel image is available\nsecond line")

    assert why(network, kernel=absent) == "RuntimeError: no kernel image is available"


def test_float32_and_attention_dropout_are_reasons(network, tmp_path):
    assert why(network, torch.float32) == "attention of variable length knows no float32"
    _, other = encoded(tmp_path / "other", attention_dropout=0.1)
    assert why(other.train()) == "attention of variable length has no dropout, and attention_dropout is 0.1"
    assert why(other.eval()) == ""


def test_on_the_cpu_packed_rows_need_no_further_trial(tmp_path):
    encoder, network = encoded(tmp_path)
    assert encoder.why_padded(network, torch.float32) == ""
    encoder.layouts, encoder.unpacked = ("padded",), "its logits differ by 1"
    assert encoder.why_padded(network, torch.float32) == "its logits differ by 1"


def test_a_window_is_seen_within_each_text_alone():
    drawn = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(35, 2, 8, generator=drawn) for _ in range(3))
    found = within(query, key, value, LENGTHS, BORDERS, Rule(reach=2))
    place, text = torch.arange(35), torch.repeat_interleave(torch.tensor(LENGTHS))
    mask = ((place[:, None] - place).abs() <= 2) & (text[:, None] == text)
    rows = [t.transpose(0, 1) for t in (query, key, value)]
    whole = torch.nn.functional.scaled_dot_product_attention(*rows, mask).transpose(0, 1)
    assert torch.allclose(found, whole, atol=1e-6)
    named = {"text_lengths": LENGTHS, "text_borders": BORDERS, "sliding_window": 3}
    by_name, _ = attend(torch.nn.Module(), *(row[None] for row in rows), None, **named)
    assert torch.allclose(by_name[0], whole, atol=1e-6)
    firsts = within(query[BORDERS[:-1]], key, value, LENGTHS, BORDERS, Rule(reach=2))
    assert torch.allclose(firsts, whole[BORDERS[:-1]], atol=1e-6)
