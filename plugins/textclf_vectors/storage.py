"""Networks on disk: config.json and model.safetensors, read again strictly."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from textclf import ArtefactError, Labels

from .network import Design, VectorsNetwork
from .vocabulary import Vocabulary

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODEL_TYPE = "textclf_vectors"
_PROBLEMS = {"single-label": "single_label_classification", "multi-label": "multi_label_classification"}


def save_network(network: torch.nn.Module, folder: Path) -> None:
    """Write the weights, each once, and what the network is made by."""
    assert isinstance(network, VectorsNetwork)
    told = {
        "model_type": MODEL_TYPE,
        "format": FORMAT,
        "problem_type": _PROBLEMS[network.labels.task],
        "id2label": dict(enumerate(network.labels.names)),
        "design": asdict(network.design),
    }
    (folder / CONFIG).write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def load_network(folder: Path, labels: Labels, known: Vocabulary) -> VectorsNetwork:
    """Read what `save_network` wrote, every tensor of it and no other, and check that its head has these labels."""
    told = _read_config(folder)
    names = tuple(told["id2label"][str(i)] for i in range(len(told["id2label"])))
    if names != labels.names or told["problem_type"] != _PROBLEMS[labels.task]:
        raise ArtefactError(
            f"the network in '{folder}' decides between {', '.join(names)} ({told['problem_type']}), "
            f"not between {', '.join(labels.names)} ({labels.task})"
        )
    design: Design = told["design"]
    if (design.words, design.added) != (len(known.words), len(known.added)):
        raise ArtefactError(
            f"the network in '{folder}' knows {design.words + design.added} words, and the vocabulary beside it "
            f"{len(known.words) + len(known.added)}"
        )
    with torch.device("meta"):  # shapes only: what the configuration claims takes no memory before it is believed
        network = VectorsNetwork(design, labels)
    tensors = _read_tensors(folder)
    wanted = network.state_dict()
    _refuse(folder, "lack", wanted.keys() - tensors.keys())
    _refuse(folder, "have unknown", tensors.keys() - wanted.keys())
    shapes = {n: (list(t.shape), list(wanted[n].shape)) for n, t in tensors.items() if t.shape != wanted[n].shape}
    _refuse(folder, "have misshapen", (f"{name} ({has}, not {wants})" for name, (has, wants) in shapes.items()))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return network


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    try:
        told = json.loads(file.read_text("utf-8"))
        kind, known = told["model_type"], told["format"]
        sound = isinstance(told["id2label"], dict) and isinstance(told["problem_type"], str)
        sound = sound and set(told["id2label"]) == {str(i) for i in range(len(told["id2label"]))}
    except (OSError, ValueError, KeyError, TypeError):
        raise ArtefactError(f"'{file}' is missing or broken, so the network cannot be read") from None
    if kind != MODEL_TYPE or known != FORMAT or not sound:
        raise ArtefactError(f"'{file}' tells of a '{kind}' of format {known}, which this version does not read")
    told["design"] = _design(file, told.get("design"))
    return dict(told)


def _design(file: Path, told: Any) -> Design:
    """Return a design, of which every field is there, of its kind and within reason."""
    hints = get_type_hints(Design)
    if not isinstance(told, dict) or set(told) != {f.name for f in fields(Design)}:
        raise ArtefactError(f"'{file}' does not tell what its network is made by")
    for name, value in told.items():
        if not _fits(value, hints[name]):
            raise ArtefactError(f"'{file}' says {name}: {value!r}, of which no network can be made")
    if (told["network"] in ("lstm", "gru") and not told["layers"]) or not told["widths"] or not told["dimensions"]:
        raise ArtefactError(f"'{file}' contradicts itself, so the network cannot be read")
    return Design(**{**told, "widths": tuple(told["widths"])})


def _fits(value: Any, kind: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1 << 31
    if kind is float:
        return isinstance(value, (int, float)) and 0 <= value < 1
    if get_args(kind) and isinstance(get_args(kind)[0], str):
        return value in get_args(kind)
    return isinstance(value, list) and all(isinstance(v, int) and 0 < v <= 50 for v in value)


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    file = folder / WEIGHTS
    if not file.is_file():
        raise ArtefactError(f"'{folder}' has no {WEIGHTS}")
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ArtefactError(f"'{file}' cannot be read as safetensors: {error}") from None
    _refuse(folder, "are no numbers in", (n for n, t in tensors.items() if not t.is_floating_point()))
    _refuse(folder, "are not finite in", (n for n, t in tensors.items() if not bool(torch.isfinite(t).all())))
    return tensors


def _refuse(folder: Path, what: str, names: Iterable[str]) -> None:
    names = sorted(names)
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise ArtefactError(f"the weights in '{folder}' {what} tensors: {', '.join(names[:5])}{more}")
