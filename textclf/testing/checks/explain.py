"""The clauses of spans and attributions, which are optional."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...data.dataset import Texts
from ...data.explanation import Span
from ...data.tokens import Tokens
from ...errors import PluginError, type_name
from ..contract import Broken, Check, Clause, NotApplicable
from ..samples import HOSTILE, ORDINARY
from .encoder import fitted
from .subject import Subject
from .trainer import train_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_TOLERANCE = 0.01
# Letters that become two when they are folded, lowered or decomposed, and two that become one.
_LONGER = ("ßßßß", "İİİİ", "ﬁﬁﬁﬁ", "e\u0301" * 4)
_SHOWN, _MANY = 40, 50
_ROWS = 6


def _has(method: str, what: str) -> Callable[[Subject], None]:
    """Return what raises NotApplicable where an encoder does not offer the method, which tells `what`."""

    def applies(subject: Subject) -> None:
        encoder = subject.memory.get("fitted") or subject.build()
        if not callable(getattr(encoder, method, None)):
            raise NotApplicable(f"it does not tell {what}")

    return applies


def _spanned(subject: Subject, encoder: Any, texts: Texts) -> tuple[Any, Any]:
    """Return the features of texts, and where their units come from."""
    return encoder.encode(texts, subject.context()), _list("spans", encoder.spans(texts, subject.context()))


def _list(method: str, returned: Any) -> list[Any]:
    if not isinstance(returned, Iterable):
        raise Broken(f"{method} returns {type_name(returned)}, not a list with an entry for each text")
    return list(returned)


def _units(features: Any, row: int) -> NDArray[np.int64]:
    """Return the units of a row: its tokens' positions, or the columns that are not zero."""
    import numpy as np

    if isinstance(features, Tokens):
        return np.arange(len(features.row(row)))
    one = features[row : row + 1]
    return np.unique((one.toarray() if hasattr(one, "toarray") else np.asarray(one)).nonzero()[1])


def _returns_spans(subject: Subject) -> None:
    texts = subject.texts([*subject.dataset().train.texts.take(range(_ROWS)).first, *HOSTILE])
    features, spans = _spanned(subject, fitted(subject), texts)
    if len(spans) != len(texts):
        raise Broken(f"the spans of {len(spans)} texts, where {len(texts)} were given")
    for row, units in enumerate(spans):
        strange = sorted(set(units) - set(_units(features, row).tolist()))
        if strange:
            raise Broken(f"text {row}: it tells of units that its features do not have: {strange[:5]}")
        _stand_in(texts, row, (span for places in units.values() for span in places))
    for behind in _LONGER:
        _demand_unmoved(subject, behind)


def _demand_unmoved(subject: Subject, behind: str) -> None:
    """Raise Broken where places move that stand behind letters of which a folded or composed text has more, or fewer.

    Held against the same texts behind as many plain letters; what depends on them otherwise is nobody's fault.
    """
    texts = _words(subject)
    alone, plain, odd = (_spans_behind(subject, texts, letters) for letters in ("", "x" * len(behind), behind))
    for row, text in enumerate(texts):
        if alone[row] != plain[row]:
            continue
        if odd[row] != plain[row]:
            wrong, right = (_quoted(text, one[row] - other[row]) for one, other in ((odd, plain), (plain, odd)))
            raise Broken(
                f"behind '{behind}' it tells of {wrong} in {text[:_SHOWN]!r}, and behind '{'x' * len(behind)}' of "
                f"{right}: look for words in the text as it is, and fold or normalise each by itself"
            )


def _quoted(text: str, places: set[tuple[int, int]]) -> str:
    start, end = min(places, default=(0, 0))
    return repr(text[start:end]) if text[start:end] else "nothing"


def _words(subject: Subject) -> list[str]:
    """Return short texts of words that the encoder may know: of training texts, ordinary ones, and its options."""
    named = [word for value in subject.options.model_dump().values() for word in _strings(value)]
    return [*subject.dataset().train.texts.take(range(_ROWS)).first, *ORDINARY, *named, " ".join(named)]


def _strings(value: object) -> list[str]:
    several = value if isinstance(value, tuple) else (value,)
    return [word for word in several if isinstance(word, str) and 0 < len(word) < _SHOWN][:_MANY]


def _spans_behind(subject: Subject, texts: Sequence[str], letters: str) -> list[set[tuple[int, int]]]:
    """Return, for each text, the spans in it that are returned where it stands behind some letters and a space."""
    head = f"{letters} " if letters else ""
    begin, returned = len(head), fitted(subject).spans(Texts([head + text for text in texts]), subject.context())
    return [
        {(start - begin, end - begin) for places in units.values() for _, start, end in places if start >= begin}
        for units in returned
    ]


def _returns_what_it_reads(subject: Subject) -> None:
    encoder: Any = fitted(subject)
    texts = subject.texts([*subject.dataset().train.texts.take(range(_ROWS)).first, *HOSTILE])
    returned = _list("reads", encoder.reads(texts, subject.context()))
    if len(returned) != len(texts):
        raise Broken(f"it tells what it reads of {len(returned)} texts, where {len(texts)} were given")
    for row, places in enumerate(returned):
        _stand_in(texts, row, places)


def _stand_in(texts: Texts, row: int, places: Iterable[Span]) -> None:
    lengths = [len(column[row]) for column in (texts.first, texts.second) if column is not None]
    for part, start, end in places:
        if part not in range(len(lengths)) or not 0 <= start <= end <= lengths[part]:
            within = " and ".join(map(str, lengths))
            raise Broken(f"text {row}: ({part}, {start}, {end}) is no place in {within} characters")


def _sees_its_tokens(subject: Subject) -> None:
    encoder = fitted(subject)
    import numpy as np
    import torch

    tokens = encoder.encode(subject.dataset().train.texts.take(range(_ROWS)), subject.context())
    rows = np.array([3, 0, 5], np.int64)
    seen, batch = encoder.seen(tokens, rows), encoder.collate(tokens, rows, "padded", torch.device("cpu"))
    shapes = {tuple(values.shape) for values in batch.values() if values.ndim > 1}
    if seen.shape not in shapes:
        raise Broken(f"seen tells of {list(seen.shape)} places, a padded batch has {sorted(map(list, shapes))}")
    for row, places in zip(rows, seen, strict=True):
        found = places[places >= 0]
        if len(set(found.tolist())) != len(found) or found.max(initial=-1) >= len(tokens.row(row)):
            raise Broken(f"text {row}: {places.tolist()} are not positions of {len(tokens.row(row))} tokens, each once")


def _adds_up(subject: Subject) -> None:
    import numpy as np

    for task in sorted(subject.traits.tasks, reverse=True):
        made = train_once(subject, task)
        model: Any = made.model
        if not callable(getattr(model, "attributions", None)):
            raise NotApplicable("it does not tell what its features contribute")
        reason = model.opaque() if callable(getattr(model, "opaque", None)) else ""
        if reason:
            raise NotApplicable(reason)
        rows = np.arange(_ROWS)
        some = made.features.take(rows) if isinstance(made.features, Tokens) else made.features[:_ROWS]
        columns = rows % len(made.dataset.labels)
        try:
            found = list(model.attributions(some, columns, subject.context()))
        except PluginError as error:
            raise NotApplicable(str(error)) from None
        if len(found) != _ROWS:
            raise Broken(f"{task}: the attributions of {len(found)} texts, where {_ROWS} were given")
        for row, returned in enumerate(found):
            whole = returned.logit - returned.baseline
            if abs(float(returned.values.sum()) - whole) > _TOLERANCE * max(abs(whole), 1.0):
                total = returned.values.sum()
                raise Broken(f"{task}, text {row}: contributions add up to {total:.4g}, not to {whole:.4g}")
            if not set(returned.units.tolist()) <= set(_units(some, row).tolist()):
                raise Broken(f"{task}, text {row}: it tells of units that its features do not have")


EXPLAINED_ENCODER: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.spans", "if it tells where features come from, it is in the text", "words are marked by it"),
        _returns_spans,
        after=("encoder.layout", "encoder.hostile", "encoder.repeats"),
        applies=_has("spans", "where its features come from"),
    ),
    Check(
        Clause("encoder.reads", "if it tells what it reads of a text, it is there", "no other words are deleted"),
        _returns_what_it_reads,
        after=("encoder.layout", "encoder.hostile"),
        applies=_has("reads", "what it reads of a text"),
    ),
    Check(
        Clause("tokens.seen", "if it tells where a batch's tokens are, each is there once", "gradients need it"),
        _sees_its_tokens,
        after=("encoder.layout", "tokens.contract", "tokens.logits"),
        applies=_has("seen", "where its tokens are in a batch"),
    ),
)

EXPLAINED_TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.attributions", "contributions that a model tells add up to its logit", "people believe them"),
        _adds_up,
        after=("trainer.scores",),
    ),
)
