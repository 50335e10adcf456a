"""Dropout whose masks follow from seed, step and lane."""

from __future__ import annotations

import pytest
import torch
from textclf_torch.cpu.dropout import LEVELS, Masks, seeded_dropout


def test_masks_drop_the_share_they_should_and_keep_the_mean():
    masks = Masks((3,))
    masks.begin(5)
    masks.enter(0)
    mask = masks.draw(torch.Size((400, 501)), 0.1)
    assert sorted(mask.unique().tolist()) == pytest.approx([0.0, LEVELS / (LEVELS - 6554)])
    assert float((mask == 0).float().mean()) == pytest.approx(0.1, abs=0.003)
    assert not torch.equal(mask, masks.draw(mask.shape, 0.1))
    masks.enter(1)
    other = masks.draw(mask.shape, 0.1)
    masks.enter(0)
    assert torch.equal(mask, masks.draw(mask.shape, 0.1))
    assert not torch.equal(mask, other)


def test_dropout_passes_on_what_it_kept_and_its_gradient():
    network = torch.nn.Sequential(torch.nn.Dropout(0.25), torch.nn.Dropout(1.0))
    values = torch.ones(64, 64, requires_grad=True)
    with seeded_dropout(network, (1,)) as masks:
        masks.begin(0)
        masks.enter(0)
        found = network[0](values)
        found.sum().backward()
        assert torch.equal(found.detach(), values.grad)
        assert 0.2 < float((found == 0).float().mean()) < 0.3
        assert not network[1](values).any()
        assert network.eval()[0](values) is values
    assert "forward" not in vars(network[0])
