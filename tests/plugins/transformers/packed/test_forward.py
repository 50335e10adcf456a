"""Packed rows give what padded batches give, on every network that offers them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_transformers import TransformerOptions, build
from textclf_transformers.batch import FILLED
from textclf_transformers.packed import forward
from textclf_transformers.packed.last_layer import Shortened, last_layer

from tests.tiny import tiny_bert, tiny_distilbert, tiny_electra, tiny_modernbert, tiny_roberta, tiny_xlm_roberta
from textclf import Chosen, Labels, Split, Texts
from textclf.testing import LocalContext

LABELS = Labels(("no", "yes"))
CPU = torch.device("cpu")
FIRST = ["the film was very good", "bad", "a great plot and a fine film", "it was awful", "not fine", "poor"]
SECOND = ["and it was not", "good good", "the", "a bad plot", "fine", "was it poor"]
MAKERS = [tiny_bert, tiny_roberta, tiny_xlm_roberta, tiny_electra, tiny_distilbert, tiny_modernbert]


def encoded(folder: Path, maker: Any, texts: Texts, **options: Any) -> tuple[Any, Any, torch.nn.Module]:
    """Return an encoder, the tokens of the texts sorted by length, and a network."""
    encoder = build(TransformerOptions(checkpoint=str(maker(folder)), **options))
    context = LocalContext(folder)
    encoder.fit(Split(texts, np.zeros(len(texts), np.int64)), context)
    tokens = encoder.encode(texts, context)
    torch.manual_seed(1)
    network = encoder.build_network(LABELS)
    with torch.no_grad():
        for parameter in network.parameters():
            # Fresh weights are so small that all texts get nearly the same logits.
            parameter.mul_(10.0 if parameter.ndim > 1 else 1.0)
    return encoder, tokens.take(np.argsort(encoder.lengths(tokens), kind="stable")), network


def logits(encoder: Any, network: torch.nn.Module, tokens: Any, layout: str) -> torch.Tensor:
    return network(**encoder.collate(tokens, np.arange(len(tokens)), layout, CPU)).logits


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("maker", MAKERS)
def test_packed_logits_are_padded_logits(maker, pairs, tmp_path):
    """T08: neither padding nor the neighbours in a row change a text's scores beyond rounding."""
    texts = Texts(FIRST, SECOND if pairs and maker not in (tiny_distilbert, tiny_modernbert) else None)
    encoder, tokens, network = encoded(tmp_path, maker, texts, max_length=12, truncate="head_tail")
    network.eval()
    assert encoder.layouts == ("packed", "padded")
    row = encoder.collate(tokens, np.arange(len(tokens)), "packed", CPU)
    assert row["input_ids"].shape == (1, -(-int(encoder.lengths(tokens).sum()) // FILLED) * FILLED)
    with torch.no_grad():
        one, other = (logits(encoder, network, tokens, layout) for layout in ("packed", "padded"))
    assert torch.allclose(one, other, atol=1e-5)
    assert float(other.std(dim=0).max()) > 1e-2


@pytest.mark.parametrize("maker", MAKERS)
def test_packed_gradients_are_padded_gradients(maker, tmp_path):
    """T07: the layout of a batch changes its gradient by rounding only."""
    encoder, tokens, network = encoded(tmp_path, maker, Texts(FIRST), dropout=0.0)
    found = []
    for layout in ("packed", "padded"):
        network.zero_grad()
        logits(encoder, network, tokens, layout).pow(2).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert float((found[0] - found[1]).norm() / found[1].norm()) <= 1e-5


@pytest.mark.parametrize(
    ("maker", "output"),
    [(tiny_bert, "output"), (tiny_roberta, "output"), (tiny_xlm_roberta, "output"), (tiny_electra, "output"),
     (tiny_distilbert, "ffn")],
)  # fmt: skip
def test_the_last_layer_computes_first_tokens_only_while_a_row_is_packed(maker, output, tmp_path):
    encoder, tokens, network = encoded(tmp_path, maker, Texts(FIRST))
    shapes = []
    last = last_layer(network.base_model)
    assert isinstance(last.forward, Shortened)
    last.get_submodule(output).register_forward_hook(lambda module, given, told: shapes.append(tuple(told.shape)))
    for layout in ("packed", "padded"):
        logits(encoder, network, tokens, layout)
    longest = int(encoder.lengths(tokens).max())
    assert shapes == [(len(FIRST), 32), (len(FIRST), longest, 32)]


def test_a_network_whose_packed_logits_differ_stays_padded_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(forward, "PARITY", -1.0)
    encoder, tokens, network = encoded(tmp_path, tiny_bert, Texts(FIRST))
    assert encoder.layouts == ("padded",)
    assert encoder.unpacked.startswith("its logits differ by ")
    (told,) = [event for event in encoder._context.events if isinstance(event, Chosen)]
    assert (told.what, told.choice, told.why) == ("packed rows", "not with this network", encoder.unpacked)
    assert network.config._attn_implementation == "sdpa"
    assert not isinstance(last_layer(network.base_model).forward, Shortened)
    with pytest.raises(ValueError, match="layout 'packed' is not one of padded"):
        logits(encoder, network, tokens, "packed")


def test_a_saved_configuration_knows_nothing_of_packing(tmp_path):
    encoder, _, network = encoded(tmp_path / "tiny", tiny_bert, Texts(FIRST))
    encoder.save_network(network, tmp_path)
    assert forward.NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text("utf-8")))
