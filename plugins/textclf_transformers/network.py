"""Networks: built on pretrained weights, saved and restored in the Hugging Face layout."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from textclf_torch.runtime import read_tensors, refuse_tensors

from textclf import ArtefactError, Labels

WEIGHTS = "model.safetensors"
_PROBLEMS = {"single-label": "single_label_classification", "multi-label": "multi_label_classification"}
_ATTENTION = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
_DROPOUT = (
    "hidden_dropout_prob", "dropout", "classifier_dropout", "seq_classif_dropout", "embedding_dropout", "resid_pdrop",
    "embd_pdrop",
)  # fmt: skip


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide the log messages below errors and the progress bars of transformers."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def read_config(folder: Path) -> Any:
    """Return the configuration in a folder; no code that it names is ever run."""
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - transformers raises whatever the broken file made it raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ArtefactError(f"the configuration in '{folder}' cannot be read: {reason}") from None


def network_class(config: Any) -> Any:
    """Return the classifying network that transformers has for a configuration."""
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as KINDS

    if type(config) not in KINDS:
        raise ArtefactError(f"transformers has no sequence classification network for '{config.model_type}'")
    return KINDS[type(config)]


def outline(config: Any) -> torch.nn.Module:
    """Return the network of a configuration without any weights: for looking at its parts."""
    with torch.device("meta"):
        network: torch.nn.Module = network_class(config)(config)
    return network


def is_causal(network: Any) -> bool:
    """Tell whether a classifying network is of a causal language model, its head one that reads a text's last token."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    # BERT and its like are offered as causal ones too; their heads are called `classifier`.
    return type(network.config) in MODEL_FOR_CAUSAL_LM_MAPPING and isinstance(_head(network), torch.nn.Linear)


def _head(network: Any) -> Any:
    return getattr(network, "score", None)


def positions(config: Any, network: torch.nn.Module) -> int | None:
    """Return how many tokens the network has positions for, or None where it has no bound."""
    table = _position_table(network)
    if table is not None:
        return table.num_embeddings - first_position(network)
    bound = getattr(config, "max_position_embeddings", None)
    return bound if isinstance(bound, int) and bound > 0 else None


def first_position(network: torch.nn.Module) -> int:
    """Return the position of a text's first token: RoBERTa and its like count from behind the padding id."""
    table = _position_table(network)
    return 0 if table is None or table.padding_idx is None else table.padding_idx + 1


def _position_table(network: torch.nn.Module) -> torch.nn.Embedding | None:
    named = (module for name, module in network.named_modules() if name.endswith("position_embeddings"))
    return next((module for module in named if isinstance(module, torch.nn.Embedding)), None)


def build_network(
    folder: Path, labels: Labels, attention_dropout: float, dropout: float | None, pad_id: int
) -> tuple[torch.nn.Module, list[str]]:
    """Return the pretrained body with a new head, and warnings; an ArtefactError where the body is not whole."""
    config = read_config(folder)
    for names, rate in ((_ATTENTION, attention_dropout), (_DROPOUT, dropout)):
        for name in names:
            if rate is not None and hasattr(config, name):
                setattr(config, name, rate)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels.names))
    config.label2id = {name: i for i, name in enumerate(labels.names)}
    config.problem_type = _PROBLEMS[labels.task]
    parts = outline(config)
    if is_causal(parts):
        # The head finds a text's last token by the padding token. It never generates text, so it caches no states.
        config.pad_token_id, config.use_cache = pad_id, False
    heads = {name for name, _ in parts.named_children()} - {_prefix(parts)}
    # A head in the checkpoint was trained for other labels: ours is always new.
    tensors = {name: t for name, t in read_weights(folder).items() if name.partition(".")[0] not in heads}
    network, found = _load(network_class(config), config, tensors, folder)
    return network, _check_body(network, found, folder)


def read_body(folder: Path) -> torch.nn.Module:
    """Return the pretrained body alone, without a head or pooler, whose states are read and which is not trained."""
    from transformers import MODEL_MAPPING

    config = read_config(folder)
    if type(config) not in MODEL_MAPPING or config.is_encoder_decoder:
        raise ArtefactError(f"'{folder}' holds a '{config.model_type}', whose states of a text's tokens cannot be read")
    config.use_cache = False
    kinds: Any = MODEL_MAPPING[type(config)]
    kind = kinds[0] if isinstance(kinds, tuple) else kinds
    takes = inspect.signature(kind).parameters
    unpooled = {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}
    body, found = _load(kind, config, read_weights(folder), folder, **unpooled)
    _check_body(body, found, folder)
    return body.eval().requires_grad_(False)


def save_network(network: Any, folder: Path) -> None:
    with quiet_transformers():
        network.save_pretrained(str(folder), max_shard_size="1000GB")


def load_network(folder: Path, labels: Labels) -> torch.nn.Module:
    """Read what `save_network` wrote, every tensor of it and no other, and check that its head has these labels."""
    config = read_config(folder)
    names = tuple(config.id2label[i] for i in sorted(config.id2label))
    if names != labels.names or config.problem_type != _PROBLEMS[labels.task]:
        raise ArtefactError(
            f"the network in '{folder}' decides between {', '.join(names)} ({config.problem_type}), "
            f"not between {', '.join(labels.names)} ({labels.task})"
        )
    network, found = _load(network_class(config), config, read_weights(folder), folder)
    refuse_tensors(folder, "lack", found["missing_keys"])
    refuse_tensors(folder, "have unknown", found["unexpected_keys"])
    return network


def layers(network: Any) -> list[list[torch.nn.Parameter]]:
    """Return every parameter once: embeddings first, then each layer, the pooler and head last."""
    body = network.base_model
    stacks = [m for m in body.modules() if isinstance(m, torch.nn.ModuleList)]
    stack = max(stacks, key=lambda m: sum(p.numel() for p in m.parameters()), default=torch.nn.ModuleList())
    embeddings = [m for name, m in body.named_modules() if name.endswith("embeddings")][:1] or [
        m for m in body.children() if isinstance(m, torch.nn.Embedding)
    ]
    seen: set[int] = set()
    parts = (torch.nn.ModuleList(embeddings), *stack)
    groups = [[p for p in m.parameters() if not (id(p) in seen or seen.add(id(p)))] for m in parts]  # type: ignore[func-returns-value]
    groups.append([p for p in network.parameters() if id(p) not in seen])
    return [group for group in groups if group]


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a folder; an ArtefactError where they are pickles, damaged or not finite."""
    return read_tensors(folder, _weight_files(folder))


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / f"{WEIGHTS}.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ArtefactError(f"'{index}' is no index of weights") from None
        if any(not isinstance(n, str) or Path(n).name != n for n in names):
            raise ArtefactError(f"'{index}' names files outside its folder")
        return [folder / name for name in names]
    pickles = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(pattern))
    if pickles:
        raise ArtefactError(
            f"'{folder}' has its weights only as {', '.join(pickles)}: pickles can run code and are not read; "
            "convert them to safetensors"
        )
    raise ArtefactError(f"'{folder}' has no {WEIGHTS}")


def _load(
    kind: Any, config: Any, tensors: dict[str, torch.Tensor], folder: Path, **options: Any
) -> tuple[torch.nn.Module, dict[str, Any]]:
    attention = "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"
    with quiet_transformers():
        network, found = kind.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=torch.float32,
            attn_implementation=attention,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    shapes = [f"{name} ({list(has)}, not {list(wants)})" for name, has, wants in found["mismatched_keys"]]
    refuse_tensors(folder, "have misshapen", shapes)
    return network, found


def _check_body(network: Any, found: dict[str, Any], folder: Path) -> list[str]:
    """Refuse weights without parts of the body, or with layers that the configuration does not name."""
    prefix = _prefix(network)
    own = "" if network.base_model is network else f"{prefix}."
    children = {name for name, _ in network.base_model.named_children()}
    missing = sorted(name for name in found["missing_keys"] if name.startswith(own))
    pooler = [name for name in missing if name.startswith(f"{own}pooler.")]
    refuse_tensors(folder, "lack", [name for name in missing if name not in pooler])
    extra = (name for name in found["unexpected_keys"] if not name.endswith("position_ids"))
    unknown = [name for name in extra if name.removeprefix(f"{prefix}.").partition(".")[0] in children]
    refuse_tensors(folder, "have unknown", unknown)
    return [f"the weights in '{folder}' have no pooler: it begins untrained, as the head does"] if pooler else []


def _prefix(network: Any) -> str:
    prefix: str = network.base_model_prefix
    return prefix


class LastToken:
    """The `forward` of a causal network that reads packed rows; `remove` puts the network's own back.

    The heads of transformers look for the last token that is not the padding token. In a packed row its place is known
    beforehand (`text_lasts`), and the head reads that place alone; padded batches go to the network's own `forward`. A
    copy of the network copies this object too, and then refers to the copy.
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
    """Return a mask for a packed row, which needs none, that keeps transformers from making one of tokens times tokens.

    transformers passes on a mask of four dimensions, even an empty one, as it is.
    """
    return torch.empty((1, 1, 0, 0), dtype=torch.bool, device=device)
