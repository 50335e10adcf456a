"""Attention by batched products is the fused one: results and gradients, whatever the lengths and the rule."""

from __future__ import annotations

import pytest
import torch
from textclf_torch.cpu.attention import by_products, products
from textclf_transformers.packed.attention import Rule, by_length, within

RAGGED = (1, 1, 5, 31, 32, 33, 40, 64, 70)
RULES = {
    "all": Rule(), "scaled": Rule(scale=0.3), "window": Rule(reach=3), "causal": Rule(causal=True),
    "causal window": Rule(reach=3, causal=True),
}  # fmt: skip


def drawn(queries: int, keys: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, 3, 8, generator=generator).to(dtype).requires_grad_() for size in (queries, keys, keys)]


def with_gradients(answer: torch.Tensor, rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the answer and the gradient of a function of it that weighs all numbers differently."""
    return [answer.detach(), *torch.autograd.grad(answer.float().sin().sum(), rows)]


def furthest(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    # The gradients of a query and a key of a text of one token are zero.
    pairs = [(one.float(), other.float()) for one, other in zip(found, wanted, strict=True)]
    errors = [(one - other).norm() / other.norm().clamp(min=1.0) for one, other in pairs]
    return float(torch.stack(errors).max())


@pytest.mark.parametrize("lengths", [RAGGED, RAGGED[::-1], (1,), (32, 32), (7, 7, 7), (100, 2)])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_products_are_fused_attention(rule: Rule, lengths: tuple[int, ...]):
    rows = drawn(sum(lengths), sum(lengths))
    found = by_products(*rows, lengths, scale=rule.scale, reach=rule.reach, causal=rule.causal)
    wanted = by_length(rows[0], rows[1], rows[2], lengths, rule)
    assert furthest(with_gradients(found, rows), with_gradients(wanted, rows)) < 1e-5


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_products_in_bf16_are_nearly_those_in_float32(rule: Rule):
    rows = drawn(sum(RAGGED), sum(RAGGED), torch.bfloat16)
    wholes = [row.detach().float().requires_grad_() for row in rows]
    with products(max(RAGGED)):
        found = within(rows[0], rows[1], rows[2], RAGGED, torch.empty(0), rule)
    wanted = by_length(wholes[0], wholes[1], wholes[2], RAGGED, rule)
    assert furthest(with_gradients(found, rows), with_gradients(wanted, wholes)) < 0.02


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_tokens_behind_the_last_text_get_zeros_and_change_nothing(rule: Rule):
    rows = drawn(sum(RAGGED) + 5, sum(RAGGED) + 5)
    texts = [row.detach()[: sum(RAGGED)].requires_grad_() for row in rows]
    wanted = with_gradients(by_length(texts[0], texts[1], texts[2], RAGGED, rule), texts)
    filled = [torch.cat([part, torch.zeros_like(part[:5])]) for part in wanted]
    fused = by_length(rows[0], rows[1], rows[2], RAGGED, rule)
    by_groups = by_products(*rows, RAGGED, scale=rule.scale, reach=rule.reach, causal=rule.causal)
    for found in (fused, by_groups):
        gradients = with_gradients(found, rows)
        assert furthest(gradients, filled) < 1e-5
        assert not any(part[sum(RAGGED) :].any() for part in gradients)


def test_queries_of_first_tokens_and_dropout_stay_fused():
    rows = drawn(len(RAGGED), sum(RAGGED), torch.bfloat16)
    with products(max(RAGGED)):
        firsts = within(rows[0], rows[1], rows[2], RAGGED, torch.empty(0), Rule())
        assert torch.equal(firsts, by_length(rows[0], rows[1], rows[2], RAGGED, Rule()))
        every = drawn(sum(RAGGED), sum(RAGGED), torch.bfloat16)
        dropped = within(every[0], every[1], every[2], RAGGED, torch.empty(0), Rule(dropout=1.0))
    assert not dropped.any()
