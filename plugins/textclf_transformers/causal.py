"""Owns networks that read from left to right: what pads their texts, and that a text is read at its last token.

The heads of transformers look for the last token that is not the padding token. Padded batches are left to them; for
packed rows the same place is known beforehand (`text_lasts`), and the head is asked there alone.
"""

from __future__ import annotations

from typing import Any

import torch

from textclf import ArtefactError

from .collating import Template


def is_causal(network: Any) -> bool:
    """Tell whether a classifying network is of a causal language model, its head one that reads a text's last token."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    # BERT and its like are offered as causal ones too; their heads are called `classifier`.
    return type(network.config) in MODEL_FOR_CAUSAL_LM_MAPPING and isinstance(_head(network), torch.nn.Linear)


def _head(network: Any) -> Any:
    return getattr(network, "score", None)


def set_padding(tokenizer: Any, vocabulary: int, name: str) -> None:
    """Let a tokenizer pad on the right, with a token that the network knows: its own, or one that ends no text.

    vocabulary: how many ids the network has embeddings of.
    """
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id < vocabulary:
        return
    known = [t for t in (tokenizer.eos_token, tokenizer.unk_token, tokenizer.bos_token) if t is not None]
    if not known:
        raise ArtefactError(
            f"encoder.checkpoint: the tokenizer of '{name}' has neither a padding token nor one to pad with; set "
            "pad_token in its tokenizer_config.json"
        )
    ends = Template.of(tokenizer, 1).specials[-1]
    tokenizer.pad_token = next((t for t in known if tokenizer.convert_tokens_to_ids(t) not in ends), known[0])


class LastToken:
    """A causal network whose head is asked for the last token of each text while a row is packed; `remove` undoes it.

    It stands in for the network's `forward`. A copy of the network copies this object too, and its network is another.
    """

    def __init__(self, network: Any) -> None:
        self._network, self._whole = network, network.forward
        network.forward = self

    def __call__(self, *arguments: Any, text_lasts: torch.Tensor | None = None, **named: Any) -> Any:
        if text_lasts is None or "text_lengths" not in named:
            return self._whole(*arguments, **named)
        from transformers.modeling_outputs import SequenceClassifierOutput

        body = self._network.base_model(**named, attention_mask=no_mask(text_lasts.device), use_cache=False)
        return SequenceClassifierOutput(logits=_head(self._network)(body.last_hidden_state[0, text_lasts]))

    def remove(self) -> None:
        del self._network.forward


def no_mask(device: torch.device) -> torch.Tensor:
    """Return what keeps transformers from making a mask of tokens times tokens for a packed row, which needs none.

    A mask of four dimensions, even an empty one, is handed on as it is.
    """
    return torch.empty((1, 1, 0, 0), dtype=torch.bool, device=device)
