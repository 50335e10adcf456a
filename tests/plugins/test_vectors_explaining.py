"""Networks over word vectors are explained word by word, and contributions add up in each of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from textclf_torch import explain
from textclf_torch.trainer import TorchModel

from tests.plugins.test_vectors_network import KINDS
from tests.plugins.word_vectors import LABELS, encoder
from textclf import Texts
from textclf.testing import LocalContext

TEXTS = ["the film was not very good", "", "unheard of , but good " * 8]


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_add_up_for_every_network(kind, tmp_path):
    made = encoder(tmp_path, **KINDS[kind])
    torch.manual_seed(3)
    network = made.build_network(LABELS)
    with torch.no_grad():
        for parameter in network.head.parameters():
            # Fresh weights are so small that nothing would be seen.
            parameter.mul_(6.0)
    trained = [parameter.requires_grad for parameter in network.parameters()]
    model, context = TorchModel(network, made, LABELS, torch.device("cpu")), LocalContext(tmp_path)
    tokens = made.encode(Texts(TEXTS), context)
    before = model.scores(tokens, context)
    assert model.opaque() == ""
    for told, length in zip(model.attributions(tokens, np.array([1, 0, 1]), context), tokens.lengths(), strict=True):
        difference = told.logit - told.baseline
        assert abs(told.values.sum() - difference) <= explain.TOLERANCE * max(abs(difference), 1)
        assert len(told.units) == length
        assert length == 0 or np.abs(told.values).max() > 1e-3
    assert (model.scores(tokens, context) == before).all()
    assert [parameter.requires_grad for parameter in network.parameters()] == trained


@pytest.mark.gpu
def test_a_recurrent_network_is_explained_on_cuda_as_on_the_cpu(tmp_path):
    # cuDNN has no backward pass for a network that is not trained.
    made = encoder(tmp_path, **KINDS["lstm, max"])
    network, context = made.build_network(LABELS).eval(), LocalContext(tmp_path)
    tokens, found = made.encode(Texts(TEXTS[:1]), context), []
    for device in map(torch.device, ("cpu", "cuda")):
        model = TorchModel(network.to(device), made, LABELS, device)
        found.append(model.attributions(tokens, np.array([1]), context)[0].values)
    assert np.allclose(*found, atol=1e-4)
    assert torch.backends.cudnn.enabled
