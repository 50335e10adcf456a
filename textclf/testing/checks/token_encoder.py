"""The clauses of token encoders. torch is imported inside functions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.dataset import Labels, Texts
from ...data.tokens import Tokens
from ...plugin.protocols import Layout
from ..contract import Broken, Check, Clause, NotApplicable, NotTried
from .encoder import fitted
from .subject import Subject, demand_no_pickle, demand_same

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


_ROWS = (3, 0, 7, 5)
_ROUNDING = 1e-4
_K = (4, 8, 16, 32, 64, 128)  # what batches are filled up to a multiple of
_METHODS = ("lengths", "build_network", "collate", "layers", "save_network", "load_network")


def makes_tokens(subject: Subject) -> None:
    if subject.traits.makes != "tokens":
        raise NotApplicable("it makes no tokens")


def _encoder(subject: Subject) -> Any:
    encoder = fitted(subject)
    missing = [name for name in _METHODS if not callable(getattr(encoder, name, None))]
    if missing:
        raise Broken(f"it makes tokens, and {type(encoder).__name__} has no {', '.join(missing)}")
    return encoder


def _tokens(subject: Subject) -> Tokens:
    """Return the tokens of texts of very different lengths."""
    if "tokens" not in subject.memory:
        subject.memory["tokens"] = _encoder(subject).encode(_texts(subject), subject.context())
    tokens: Tokens = subject.memory["tokens"]
    return tokens


def _texts(subject: Subject) -> Texts:
    texts = subject.dataset().train.texts.take(range(8))
    return subject.texts([" ".join([text] * (1 + 3 * row)) for row, text in enumerate(texts.first)])


def _network(subject: Subject) -> torch.nn.Module:
    encoder = _encoder(subject)
    # Only now: encoders without a network are checked where PyTorch is not installed.
    import torch

    if "network" not in subject.memory:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            subject.memory["network"] = encoder.build_network(subject.dataset().labels)
    network: torch.nn.Module = subject.memory["network"]
    return network.eval()


def _logits(
    subject: Subject, rows: Sequence[int], network: torch.nn.Module | None = None, encoder: Any = None,
    layout: Layout = "padded",
) -> NDArray[np.float32]:  # fmt: skip
    network, batch = network or _network(subject), _collated(subject, rows, encoder, layout)
    import torch

    with torch.inference_mode():
        found = network(**batch)
    logits = getattr(found, "logits", found)
    if not isinstance(logits, torch.Tensor):
        raise Broken(f"the network returns a {type(found).__name__}: neither a tensor nor an object with logits")
    array: NDArray[np.float32] = logits.numpy()
    return array


def _collated(
    subject: Subject, rows: Sequence[int], encoder: Any = None, layout: Layout = "padded"
) -> dict[str, torch.Tensor]:
    encoder = encoder or _encoder(subject)
    import numpy as np
    import torch

    if layout not in encoder.layouts:
        raise NotApplicable(f"it does not make {layout} batches")
    batch: dict[str, torch.Tensor] = encoder.collate(
        _tokens(subject), np.asarray(rows, np.int64), layout, torch.device("cpu")
    )
    return batch


def _has_the_contract(subject: Subject) -> None:
    layouts = _encoder(subject).layouts
    if not layouts or not set(layouts) <= {"packed", "padded"}:
        raise Broken(f"its layouts are {layouts!r}; known: packed, padded")


def _lengths_are_true(subject: Subject) -> None:
    batch, lengths = _collated(subject, _ROWS), _encoder(subject).lengths(_tokens(subject))
    if len(lengths) != len(_tokens(subject)):
        raise Broken(f"{len(lengths)} lengths for {len(_tokens(subject))} texts")
    stated, mask = [int(lengths[row]) for row in _ROWS], batch.get("attention_mask")
    if mask is None or mask.ndim != 2:
        return _demand_widths(stated, [_width(_collated(subject, [row])) for row in _ROWS])
    counted = mask.sum(dim=1).tolist()
    if counted != stated:
        raise Broken(f"lengths says {stated}, the network sees {counted}")


def _width(batch: dict[str, torch.Tensor]) -> int:
    """Return how wide a padded batch of one text is."""
    widths = [values.shape[1] for values in batch.values() if getattr(values, "ndim", 0) > 1 and len(values) == 1]
    return max(widths, default=0)


def _demand_widths(stated: list[int], widths: list[int]) -> None:
    """Hold lengths against the widths of texts that are collated alone, for want of an attention mask to count in."""
    if widths == stated:
        return
    pairs = list(zip(stated, widths, strict=True))
    filled = len({*widths}) == 1 or any(all(-(-n // k) * k == w for n, w in pairs) for k in _K)
    if 0 in widths or (filled and all(n <= w for n, w in pairs)):
        raise NotTried("its padded batches are filled up and have no `attention_mask`, [rows, longest], to count in")
    raise Broken(f"lengths says {stated}, the network sees {widths}")


def _gives_logits(subject: Subject) -> None:
    import numpy as np

    logits, shape = _logits(subject, _ROWS), (len(_ROWS), len(subject.dataset().labels))
    if logits.shape != shape or not np.isfinite(logits).all():
        raise Broken(f"the network gives {list(logits.shape)}, not finite logits of {list(shape)}")


def _ignores_padding(subject: Subject) -> None:
    together = _logits(subject, _ROWS)
    alone = [_logits(subject, [row])[0] for row in _ROWS]
    _demand_near(together, alone, "texts together and alone")


def _layouts_agree(subject: Subject) -> None:
    network, encoder = _network(subject), _encoder(subject)
    import torch

    padded = _logits(subject, _ROWS)
    why_padded = getattr(encoder, "why_padded", None)
    reason = why_padded(network, torch.float32) if callable(why_padded) and "packed" in encoder.layouts else ""
    if reason:
        raise NotApplicable(reason)
    _demand_near(padded, _logits(subject, _ROWS, layout="packed"), "padded and packed")


def _covers_every_parameter(subject: Subject) -> None:
    layers = _encoder(subject).layers(_network(subject))
    names = {id(parameter): name for name, parameter in _network(subject).named_parameters()}
    listed = [id(parameter) for layer in layers for parameter in layer]
    missing = [name for key, name in names.items() if key not in listed]
    twice = [name for key, name in names.items() if listed.count(key) > 1]
    strange = sum(key not in names for key in listed)
    if missing or twice or strange:
        raise Broken(f"missing: {missing[:5]}, twice: {twice[:5]}, not of the network: {strange}")


def _network_comes_back(subject: Subject) -> None:
    folder = _saved(subject)
    again = subject.restore(folder)
    network = again.load_network(folder, subject.dataset().labels).eval()
    _demand_near(_logits(subject, _ROWS), _logits(subject, _ROWS, network, again), "logits after save and load")


def _refuses_other_labels(subject: Subject) -> None:
    from ...errors import ArtefactError

    folder, labels = _saved(subject), subject.dataset().labels
    more = Labels((*labels.names, "one more"), labels.task)
    try:
        subject.restore(folder).load_network(folder, more)
    except ArtefactError:
        return
    raise Broken(f"a head of {len(labels)} labels is loaded for {len(more)}")


def _saved(subject: Subject) -> Path:
    """Write what a model folder holds of a token encoder: its own files, then its network's."""
    folder = subject.folder()
    _encoder(subject).save(folder)
    _encoder(subject).save_network(_network(subject), folder)
    return folder


def _tokens_come_back(subject: Subject) -> None:
    again = subject.restore(_saved(subject))
    demand_same(_tokens(subject), again.encode(_texts(subject), subject.context()), "saved and restored")


def _demand_near(one: Any, other: Any, what: str) -> None:
    import numpy as np

    if not np.allclose(one, other, rtol=0, atol=_ROUNDING):
        raise Broken(f"{what}: they differ by up to {np.abs(np.asarray(one) - np.asarray(other)).max():.3g}")


_CHECKS: tuple[Check[Subject], ...] = (
    Check(
        Clause("tokens.contract", "what makes tokens is a TokenEncoder with known layouts", "network trainers need it"),
        _has_the_contract,
        after=("encoder.layout",),
    ),
    Check(
        Clause("tokens.lengths", "lengths are those the network sees", "batches are made by them"),
        _lengths_are_true,
        after=("tokens.contract", "tokens.logits"),
    ),
    Check(
        Clause("tokens.logits", "network(**collate(...)) gives logits [rows, labels]", "the loss reads them"),
        _gives_logits,
        after=("tokens.contract",),
    ),
    Check(
        Clause("tokens.padding", "neighbours and padding do not change a text's logits", "batches are made by length"),
        _ignores_padding,
        after=("tokens.logits",),
    ),
    Check(
        Clause("tokens.layouts", "packed and padded batches give the same logits", "the trainer chooses between them"),
        _layouts_agree,
        after=("tokens.logits",),
    ),
    Check(
        Clause("tokens.layers", "layers hold every parameter of the network once", "what is missing is never trained"),
        _covers_every_parameter,
        after=("tokens.contract", "tokens.logits"),
    ),
    Check(
        Clause("tokens.restore", "a network saved and loaded gives the same logits", "models are made to be loaded"),
        _network_comes_back,
        after=("tokens.logits",),
        offline=True,
    ),
    Check(
        Clause("tokens.encoder", "restored with its network, it gives the same tokens", "models are made to be loaded"),
        _tokens_come_back,
        after=("tokens.contract", "tokens.restore"),
        offline=True,
    ),
    Check(
        Clause("tokens.pickle", "no weights are saved as a pickle", "loading a pickle runs whatever is in it"),
        lambda subject: demand_no_pickle(_saved(subject)),
        after=("tokens.contract", "tokens.restore"),
    ),
    Check(
        Clause("tokens.labels", "a head is refused for another number of labels", "nothing is silently initialised"),
        _refuses_other_labels,
        after=("tokens.contract", "tokens.restore"),
    ),
)

TOKEN_ENCODER = tuple(replace(check, applies=makes_tokens) for check in _CHECKS)
