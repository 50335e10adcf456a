"""Networks of any size, of random weights and MiniLM's vocabulary: speed does not ask what they know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import texts

BERT_BASE = {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
SMALL = {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2}


def random_bert(folder: Path, sizes: dict[str, int]) -> Path:
    """Write a checkpoint of such sizes, and return its folder."""
    import torch
    from transformers import BertConfig, BertModel

    shutil.copytree(texts.minilm(), folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json", "1_*"))
    told = json.loads((texts.minilm() / "config.json").read_text("utf-8"))
    torch.manual_seed(0)
    BertModel(BertConfig(**{**told, **sizes})).save_pretrained(folder)
    return folder
