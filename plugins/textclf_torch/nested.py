"""Owns nested values of tensors and numbers, such as an optimiser's state, as named tensors and JSON: no pickle."""

from __future__ import annotations

from typing import Any

import torch

_TENSOR, _ITEMS, _TUPLE = "tensor", "items", "tuple"


def take_apart(value: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """Put the tensors of a value into `tensors`, by names that begin with `name`, and return the rest as JSON."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, dict):
        # Pairs, since JSON would make words of an optimiser's numbered parameters.
        return {_ITEMS: [[key, take_apart(each, tensors, f"{name}.{key}")] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        parts = [take_apart(each, tensors, f"{name}.{at}") for at, each in enumerate(value)]
        return {_TUPLE: parts} if isinstance(value, tuple) else parts
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


def put_together(told: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return the value that `take_apart` took apart."""
    if isinstance(told, list):
        return [put_together(each, tensors) for each in told]
    if not isinstance(told, dict):
        return told
    if _TENSOR in told:
        return tensors[told[_TENSOR]]
    if _TUPLE in told:
        return tuple(put_together(each, tensors) for each in told[_TUPLE])
    return {key: put_together(each, tensors) for key, each in told[_ITEMS]}
