"""Owns the clauses of encoders, in whatever layout they make features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...data.dataset import Texts
from ...plugin.component import Component, Options
from ..clauses import Broken, Check, Clause, NotApplicable, raised
from ..texts import HOSTILE, ORDINARY
from .comparing import ROUNDING, demand_files, demand_no_pickle, demand_same, differ, rows_of, take
from .encoded import SOME, encode, fitted, many_texts, some_texts, together
from .layouts import demand_layout, demand_rows
from .otherwise import fitted_otherwise
from .subject import Subject

_BETWEEN = 43


def _makes_its_layout(subject: Subject) -> None:
    train, test = subject.dataset().train.texts.first, subject.dataset().test
    texts = [*train, *(test.texts.first if test else ()), *ORDINARY]
    features = subject.on_texts(lambda: encode(subject, subject.texts(texts)))
    demand_layout(features, subject.traits.makes)
    demand_rows(features, texts, subject.traits.makes)


def _takes_hostile_texts(subject: Subject) -> None:
    encoder = subject.build()
    encoder.fit(subject.dataset().train, subject.context())
    features = encode(subject, subject.texts(list(HOSTILE)), encoder)
    demand_rows(features, HOSTILE, subject.traits.makes)


def _takes_any_sequence(subject: Subject) -> None:
    texts = some_texts(subject)
    tuples = Texts(tuple(texts.first), None if texts.second is None else tuple(texts.second))
    demand_same(encode(subject, texts), encode(subject, tuples), "a tuple instead of a list")


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
    texts, another = many_texts(subject), subject.build()
    rows = list(reversed(range(len(texts))))
    another.fit(subject.dataset().train, subject.context())  # one that has not met any of them yet
    turned = encode(subject, texts.take(rows), another)
    demand_same(take(together(subject), rows), turned, "encoded in another order", ROUNDING)


def _ignores_neighbours(subject: Subject) -> None:
    texts, rows = many_texts(subject), together(subject)
    for row in (*range(0, len(texts), _BETWEEN), len(texts) - 1):
        alone = encode(subject, texts.take([row]))
        try:
            demand_same(take(rows, [row]), alone, f"text {row} alone and among {len(texts)}", ROUNDING)
        except Broken as broken:
            own = (place for place in range(len(texts)) if not differ(take(rows, [place]), alone))
            moved = next(own, None)
            raise broken if moved is None else Broken(f"{broken}; its features are in row {moved}") from None


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
    words = [f"unheard{row} of{row}" for row in range(SOME)]
    return Texts(words, None if texts.second is None else words)


def _is_the_same_fitted_again(subject: Subject) -> None:
    again = subject.build()
    again.fit(subject.dataset().train, subject.context())
    demand_same(encode(subject, some_texts(subject)), encode(subject, some_texts(subject), again), "fitted twice alike")


def _is_saved_alone(subject: Subject) -> None:
    if subject.traits.makes == "tokens":
        raise NotApplicable("its network is saved beside it: see tokens.encoder")


def _comes_back(subject: Subject) -> None:
    _demand_back(subject, subject.options, fitted(subject), encode(subject, some_texts(subject)))
    for other in fitted_otherwise(subject):
        try:
            _demand_back(subject, other.values, other.encoder, other.features)
        except NotApplicable:
            raise
        except Broken as broken:
            raise Broken(f"with {other.changed}: {broken}") from broken
        except Exception as error:
            raise Broken(f"with {other.changed}: {raised(error, subject.component)}") from error


def _demand_back(subject: Subject, options: Options, encoder: Any, features: Any) -> None:
    """Raise Broken where an encoder is not the same when it was saved and restored."""
    folder, texts, component = subject.folder(), some_texts(subject), subject.component
    encoder.save(folder)
    demand_files(folder)
    again = component.build(options) if component.restore is None else component.restore(options, folder)
    if again is None:
        raise Broken("restore returns nothing; return the encoder")
    with made_anew(component, "the component"):
        demand_same(features, encode(subject, texts, again), "saved and restored")
        if again.fingerprint() != encoder.fingerprint():
            raise Broken("saved and restored, it has another fingerprint")


@contextmanager
def made_anew(component: Component[Any, Any], who: str) -> Iterator[None]:
    """Say of what fails in the block that `build` made the encoder, where it has no `restore`."""
    try:
        yield
    except Exception as error:
        if component.restore is not None or isinstance(error, NotApplicable):
            raise
        found = str(error) if isinstance(error, Broken) else raised(error, component)
        raise Broken(f"{found}; {who} has no `restore`, so `build` made it anew") from error


def _saves_no_pickle(subject: Subject) -> None:
    demand_no_pickle(_saved(subject))


def _saved(subject: Subject) -> Path:
    folder = subject.folder()
    fitted(subject).save(folder)
    return folder


def _takes_pairs(subject: Subject) -> None:
    if not subject.traits.pairs:
        raise NotApplicable("its traits say it reads no pairs")


def _reads_pairs(subject: Subject) -> None:
    texts = subject.dataset(pairs=True).train.texts.take(range(SOME))
    second = texts.second or ()
    encoder = subject.build()
    encoder.fit(subject.dataset(pairs=True).train, subject.context())
    together = encode(subject, texts, encoder)
    if rows_of(together) != SOME:
        raise Broken(f"{rows_of(together)} rows for {SOME} pairs")
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
        after=("encoder.layout", "encoder.repeats", "encoder.fingerprint"),
    ),
    Check(
        Clause("encoder.order", "the order of the texts is the order of the rows, and nothing else", "so are labels"),
        _ignores_order,
        after=("encoder.layout", "encoder.repeats", "encoder.refit", "encoder.input", "encoder.neighbours"),
    ),
    Check(
        Clause("encoder.neighbours", "a text's features do not depend on the other texts", "users ask for one text"),
        _ignores_neighbours,
        after=("encoder.layout", "encoder.repeats", "encoder.input"),
    ),
    Check(
        Clause("encoder.restore", "saved and restored, it gives the same features", "models are made to be loaded"),
        _comes_back,
        after=("component.check", "encoder.layout", "encoder.repeats", "encoder.fingerprint"),
        applies=_is_saved_alone,
        offline=True,
    ),
    Check(
        Clause("encoder.pickle", "nothing it saves is a pickle", "loading a pickle runs whatever is in it"),
        _saves_no_pickle,
        after=("encoder.layout", "encoder.restore"),
    ),
    Check(
        Clause("encoder.pairs", "the second text of a pair matters", "else half of the data is ignored in silence"),
        _reads_pairs,
        after=("encoder.layout", "encoder.repeats"),
        applies=_takes_pairs,
    ),
)
