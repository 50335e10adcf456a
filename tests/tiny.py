"""The tiny pretrained checkpoints that tests use where users have real ones: real in every file, fast to train."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

WORDS = ("good", "bad", "fine", "great", "poor", "awful", "film", "plot", "a", "the", "was", "it", "very", "not", "and")


def tiny_bert(
    folder: Path, texts: Iterable[str] = (), *, layers: int = 2, hidden: int = 32, positions: int = 64, seed: int = 0
) -> Path:
    """Write a random BERT of few weights with a WordPiece vocabulary of the texts' words, and return its folder."""
    from transformers import BertConfig, BertModel

    tokenizer = _wordpiece(texts, positions)
    config = BertConfig(**_sizes(tokenizer, layers, hidden), max_position_embeddings=positions)
    return _save(folder, tokenizer, BertModel, config, seed)


def tiny_distilbert(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random DistilBERT, which has no token types, and return its folder."""
    from transformers import DistilBertConfig, DistilBertModel

    tokenizer = _wordpiece(texts, positions, ["input_ids", "attention_mask"])
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=positions
    )
    return _save(folder, tokenizer, DistilBertModel, config, seed)


def tiny_electra(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random ELECTRA, whose embeddings are narrower than its layers, and return its folder."""
    from transformers import ElectraConfig, ElectraModel

    tokenizer = _wordpiece(texts, positions)
    config = ElectraConfig(**_sizes(tokenizer, 2, 32), embedding_size=16, max_position_embeddings=positions)
    return _save(folder, tokenizer, ElectraModel, config, seed)


def tiny_modernbert(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random ModernBERT, of whose layers two see a window of four tokens to either side, one sees all."""
    from transformers import ModernBertConfig, ModernBertModel

    tokenizer = _wordpiece(texts, positions, ["input_ids", "attention_mask"])
    config = ModernBertConfig(
        **_sizes(tokenizer, 3, 32), max_position_embeddings=positions, local_attention=8, pad_token_id=0,
        cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3, classifier_pooling="cls",
    )  # fmt: skip
    return _save(folder, tokenizer, ModernBertModel, config, seed)


def tiny_roberta(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random RoBERTa with a byte-level vocabulary, whose positions begin after the padding id."""
    from transformers import RobertaConfig, RobertaModel

    return _like_roberta(folder, texts, positions, RobertaModel, RobertaConfig, seed)


def tiny_gpt2(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random GPT-2 with a byte-level vocabulary, and without a padding token, as the published one is."""
    from transformers import GPT2Config, GPT2Model

    tokenizer = _byte_level(folder, texts, positions)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=positions,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return _save(folder, tokenizer, GPT2Model, config, seed)


def tiny_qwen2(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random Qwen2 with the vocabulary of `tiny_gpt2`: rotary positions, two heads that share keys."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return _like_llama(folder, texts, positions, Qwen2ForCausalLM, Qwen2Config, seed)


def tiny_mistral(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random Mistral with the vocabulary of `tiny_gpt2`: each token sees four, itself among them."""
    from transformers import MistralConfig, MistralForCausalLM

    return _like_llama(folder, texts, positions, MistralForCausalLM, MistralConfig, seed, sliding_window=4)


def _like_llama(folder: Path, texts: Iterable[str], positions: int, kind, settings, seed: int, **given) -> Path:
    tokenizer = _byte_level(folder, texts, positions)
    config = settings(
        **_sizes(tokenizer, 2, 32), num_key_value_heads=1, max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, **given,
    )  # fmt: skip
    return _save(folder, tokenizer, kind, config, seed)


def _byte_level(folder: Path, texts: Iterable[str], positions: int):
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Tokenizer

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        [*texts, *WORDS], vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    trained.save_model(str(folder))
    return GPT2Tokenizer.from_pretrained(str(folder), model_max_length=positions)


def tiny_xlm_roberta(folder: Path, texts: Iterable[str] = (), *, positions: int = 64, seed: int = 0) -> Path:
    """Write a random XLM-RoBERTa, with the vocabulary of `tiny_roberta`."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    return _like_roberta(folder, texts, positions, XLMRobertaModel, XLMRobertaConfig, seed)


def _like_roberta(folder: Path, texts: Iterable[str], positions: int, kind, settings, seed: int) -> Path:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    trained = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator([*texts, *WORDS], vocab_size=320, special_tokens=specials, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    trained.save_model(str(folder))
    tokenizer = RobertaTokenizer.from_pretrained(str(folder), model_max_length=positions)
    config = settings(
        **_sizes(tokenizer, 2, 32), max_position_embeddings=positions + 2, type_vocab_size=1, pad_token_id=1
    )
    return _save(folder, tokenizer, kind, config, seed)


def _wordpiece(texts: Iterable[str], positions: int, inputs: list[str] | None = None):
    from transformers import BertTokenizer

    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())} | set(WORDS)
    letters = {letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz0123456789[].,!?'")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*specials, *sorted(letters), *(f"##{c}" for c in sorted(letters)), *sorted(words)])
    given = {"model_input_names": inputs} if inputs else {}
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=positions, **given)


def _sizes(tokenizer, layers: int, hidden: int) -> dict[str, int]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * hidden,
    }


def _save(folder: Path, tokenizer, kind, config, seed: int) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind(config)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
