"""Owns the clauses of encoders, in whatever layout they make features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...data.dataset import Texts
from ...data.tokens import Tokens
from ...errors import said
from ...hooks.components import Component
from ...hooks.flaws import own_line
from ..clauses import Broken, Check, Clause, NotApplicable
from ..texts import HOSTILE
from .comparing import demand_no_pickle, demand_same, dense, differ, rows_of, take
from .subject import Subject

_SOME = 12


def fitted(subject: Subject) -> Any:
    if "fitted" not in subject.memory:
        encoder = subject.build()
        encoder.fit(subject.dataset().train, subject.context())
        subject.memory["fitted"] = encoder
    return subject.memory["fitted"]


def encode(subject: Subject, texts: Texts, encoder: Any = None) -> Any:
    return (encoder or fitted(subject)).encode(texts, subject.context())


def some_texts(subject: Subject) -> Texts:
    return subject.dataset().train.texts.take(range(_SOME))


def _makes_its_layout(subject: Subject) -> None:
    import numpy as np

    features, layout = encode(subject, some_texts(subject)), subject.traits.makes
    if rows_of(features) != _SOME:
        raise Broken(f"{rows_of(features)} rows for {_SOME} texts")
    if layout == "tokens":
        if not isinstance(features, Tokens):
            raise Broken(f"it makes tokens, and encode returns a {type(features).__name__}")
    elif layout in ("matrix", "counts"):
        if getattr(features, "ndim", None) != 2:
            raise Broken(f"it makes a {layout}, and encode returns a {type(features).__name__} that is none")
        values = dense(features)
        if not np.isfinite(values).all():
            raise Broken("its features hold NaN or infinity")
        if layout == "counts" and values.min(initial=0) < 0:
            raise Broken("it makes counts, and some are negative")


def _takes_hostile_texts(subject: Subject) -> None:
    import numpy as np

    encoder = subject.build()
    encoder.fit(subject.dataset().train, subject.context())
    features = encode(subject, Texts(list(HOSTILE)), encoder)
    if rows_of(features) != len(HOSTILE):
        raise Broken(f"{rows_of(features)} rows for {len(HOSTILE)} texts")
    if subject.traits.makes in ("matrix", "counts") and not np.isfinite(dense(features)).all():
        raise Broken("empty or strange texts give NaN or infinity")


def _takes_any_sequence(subject: Subject) -> None:
    texts = some_texts(subject)
    demand_same(encode(subject, texts), encode(subject, Texts(tuple(texts.first))), "a tuple instead of a list")


def _leaves_its_input(subject: Subject) -> None:
    train = subject.dataset(fresh=True).train
    before = list(train.texts.first), train.labels.copy()
    encoder = subject.build()
    encoder.fit(train, subject.context())
    encode(subject, train.texts, encoder)
    if list(train.texts.first) != before[0] or (train.labels != before[1]).any():
        raise Broken("fit or encode changes the texts or labels they are given")


def _is_the_same_again(subject: Subject) -> None:
    demand_same(encode(subject, some_texts(subject)), encode(subject, some_texts(subject)), "encoded twice")


def _ignores_order(subject: Subject) -> None:
    rows = list(reversed(range(_SOME)))
    turned = encode(subject, some_texts(subject).take(rows))
    demand_same(take(encode(subject, some_texts(subject)), rows), turned, "encoded in another order")


def _ignores_neighbours(subject: Subject) -> None:
    together = encode(subject, some_texts(subject))
    for row in range(0, _SOME, 4):
        alone = encode(subject, some_texts(subject).take([row]))
        demand_same(take(together, [row]), alone, f"text {row} alone and among {_SOME}")


def _learns_in_fit_alone(subject: Subject) -> None:
    encoder, train = subject.build(), subject.dataset().train
    encoder.fit(train, subject.context())
    texts, known = some_texts(subject), encoder.fingerprint()
    before = encode(subject, texts, encoder)
    encode(subject, _strange(train.texts), encoder)
    demand_same(before, encode(subject, texts, encoder), "encoded before and after other texts")
    if encoder.fingerprint() != known:
        raise Broken("encoding other texts changes its fingerprint")


def _strange(texts: Texts) -> Texts:
    """Return texts of words that no training text has, in the shape of the given ones."""
    words = [f"unheard{row} of{row}" for row in range(_SOME)]
    return Texts(words, None if texts.second is None else words)


def _is_the_same_fitted_again(subject: Subject) -> None:
    again = subject.build()
    again.fit(subject.dataset().train, subject.context())
    demand_same(encode(subject, some_texts(subject)), encode(subject, some_texts(subject), again), "fitted twice alike")


def _comes_back(subject: Subject) -> None:
    if subject.traits.makes == "tokens":
        raise NotApplicable("its network is saved beside it: see tokens.encoder")
    again, texts = subject.restore(_saved(subject)), some_texts(subject)
    with made_anew(subject.component, "the component"):
        demand_same(encode(subject, texts), encode(subject, texts, again), "saved and restored")
        if again.fingerprint() != fitted(subject).fingerprint():
            raise Broken("saved and restored, it has another fingerprint")


@contextmanager
def made_anew(component: Component[Any, Any], who: str) -> Iterator[None]:
    """Say of what fails in the block that `build` made the encoder, where it has no `restore`."""
    try:
        yield
    except Exception as error:
        if component.restore is not None or isinstance(error, NotApplicable):
            raise
        line = own_line(error, component)
        where = f" ({line})" if line else ""
        found = str(error) if isinstance(error, Broken) else f"{said(error)}{where}"
        raise Broken(f"{found}; {who} has no `restore`, so `build` made it anew") from error


def _saves_no_pickle(subject: Subject) -> None:
    demand_no_pickle(_saved(subject))


def _saved(subject: Subject) -> Path:
    folder = subject.folder()
    fitted(subject).save(folder)
    return folder


def _reads_pairs(subject: Subject) -> None:
    if not subject.traits.pairs:
        raise NotApplicable("its traits say it reads no pairs")
    texts = subject.dataset(pairs=True).train.texts.take(range(_SOME))
    second = texts.second or ()
    encoder = subject.build()
    encoder.fit(subject.dataset(pairs=True).train, subject.context())
    together = encode(subject, texts, encoder)
    if rows_of(together) != _SOME:
        raise Broken(f"{rows_of(together)} rows for {_SOME} pairs")
    if not differ(together, encode(subject, Texts(texts.first, list(reversed(second))), encoder)):
        raise Broken("other second texts give the same features")
    again = encode(subject, Texts(texts.first, tuple(second)), encoder)
    demand_same(together, again, "pairs encoded twice")


ENCODER: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.layout", "one row of features a text, in the layout of the traits", "trainers read by it"),
        _makes_its_layout,
    ),
    Check(
        Clause("encoder.hostile", "empty, very long and hostile texts give a row each", "users have such texts"),
        _takes_hostile_texts,
        after=("encoder.layout",),
    ),
    Check(
        Clause("encoder.sequences", "any sequence of str is a column of texts", "columns may be Arrow- or file-backed"),
        _takes_any_sequence,
        after=("encoder.layout", "encoder.repeats"),
    ),
    Check(
        Clause("encoder.input", "what it is given stays as it is", "other steps read the same texts"),
        _leaves_its_input,
        after=("encoder.layout",),
    ),
    Check(
        Clause("encoder.repeats", "the same texts give the same features", "a run must be repeatable"),
        _is_the_same_again,
        after=("encoder.layout",),
    ),
    Check(
        Clause("encoder.refit", "fitted alike, two of them give the same features", "a run must be repeatable"),
        _is_the_same_fitted_again,
        after=("encoder.layout", "encoder.repeats"),
    ),
    Check(
        Clause("encoder.learns", "what it learns it learns in fit; encoding changes nothing in it", "else tests leak"),
        _learns_in_fit_alone,
        after=("encoder.layout", "encoder.repeats"),
    ),
    Check(
        Clause("encoder.order", "the order of the texts is the order of the rows, and nothing else", "so are labels"),
        _ignores_order,
        after=("encoder.layout", "encoder.repeats", "encoder.input", "encoder.neighbours"),
    ),
    Check(
        Clause("encoder.neighbours", "a text's features do not depend on the other texts", "users ask for one text"),
        _ignores_neighbours,
        after=("encoder.layout", "encoder.repeats", "encoder.input"),
    ),
    Check(
        Clause("encoder.restore", "saved and restored, it gives the same features", "models are made to be loaded"),
        _comes_back,
        after=("encoder.layout", "encoder.repeats", "encoder.fingerprint"),
    ),
    Check(
        Clause("encoder.pickle", "nothing it saves is a pickle", "loading a pickle runs whatever is in it"),
        _saves_no_pickle,
    ),
    Check(
        Clause("encoder.pairs", "the second text of a pair matters", "else half of the data is ignored in silence"),
        _reads_pairs,
        after=("encoder.layout", "encoder.repeats"),
    ),
)
