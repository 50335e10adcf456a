"""Networks on disk: config.json and model.safetensors, read again strictly."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from safetensors.torch import save_file
from textclf_torch.runtime import read_tensors, refuse_tensors

from textclf import ArtefactError, Labels

from .network import Design, VectorsNetwork
from .vocabulary import Vocabulary

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODEL_TYPE = "textclf_vectors"
_PROBLEMS = {"single-label": "single_label_classification", "multi-label": "multi_label_classification"}


def save_network(network: torch.nn.Module, folder: Path) -> None:
    """Write the weights, each once, and the architecture."""
    assert isinstance(network, VectorsNetwork)
    config = {
        "model_type": MODEL_TYPE,
        "format": FORMAT,
        "problem_type": _PROBLEMS[network.labels.task],
        "id2label": dict(enumerate(network.labels.names)),
        "design": asdict(network.design),
    }
    (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", "utf-8")
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def load_network(folder: Path, labels: Labels, known: Vocabulary) -> VectorsNetwork:
    """Read what `save_network` wrote, every tensor of it and no other, and check that its head has these labels."""
    config = _read_config(folder)
    names = tuple(config["id2label"][str(i)] for i in range(len(config["id2label"])))
    if names != labels.names or config["problem_type"] != _PROBLEMS[labels.task]:
        raise ArtefactError(
            f"the network in '{folder}' decides between {', '.join(names)} ({config['problem_type']}), "
            f"not between {', '.join(labels.names)} ({labels.task})"
        )
    design: Design = config["design"]
    if (design.words, design.added) != (len(known.words), len(known.added)):
        raise ArtefactError(
            f"the network in '{folder}' knows {design.words + design.added} words, and the vocabulary beside it "
            f"{len(known.words) + len(known.added)}"
        )
    with torch.device("meta"):  # shapes only: a configuration with wrong sizes takes no memory
        network = VectorsNetwork(design, labels)
    if not (folder / WEIGHTS).is_file():
        raise ArtefactError(f"'{folder}' has no {WEIGHTS}")
    tensors = read_tensors(folder, [folder / WEIGHTS])
    wanted = network.state_dict()
    refuse_tensors(folder, "are no numbers in", (n for n, t in tensors.items() if not t.is_floating_point()))
    refuse_tensors(folder, "lack", wanted.keys() - tensors.keys())
    refuse_tensors(folder, "have unknown", tensors.keys() - wanted.keys())
    shapes = {n: (list(t.shape), list(wanted[n].shape)) for n, t in tensors.items() if t.shape != wanted[n].shape}
    refuse_tensors(folder, "have misshapen", (f"{name} ({has}, not {wants})" for name, (has, wants) in shapes.items()))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return network


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text("utf-8"))
        kind, version = config["model_type"], config["format"]
        valid = isinstance(config["id2label"], dict) and isinstance(config["problem_type"], str)
        valid = valid and set(config["id2label"]) == {str(i) for i in range(len(config["id2label"]))}
    except (OSError, ValueError, KeyError, TypeError):
        raise ArtefactError(f"'{file}' is missing or broken, so the network cannot be read") from None
    if kind != MODEL_TYPE or version != FORMAT or not valid:
        raise ArtefactError(f"'{file}' describes a '{kind}' of format {version}, which this version does not read")
    config["design"] = _design(file, config.get("design"))
    return dict(config)


def _design(file: Path, values: Any) -> Design:
    """Return the architecture; an ArtefactError unless every field is there, of its type and within bounds."""
    hints = get_type_hints(Design)
    if not isinstance(values, dict) or set(values) != {f.name for f in fields(Design)}:
        raise ArtefactError(f"'{file}' does not describe its network")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ArtefactError(f"'{file}' says {name}: {value!r}, of which no network can be made")
    recurrent = values["network"] in ("lstm", "gru")
    if (recurrent and not values["layers"]) or not values["widths"] or not values["dimensions"]:
        raise ArtefactError(f"'{file}' contradicts itself, so the network cannot be read")
    return Design(**{**values, "widths": tuple(values["widths"])})


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
