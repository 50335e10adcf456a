"""The clauses of encoders: layout, order, repeats, fingerprint, other processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...data.dataset import Split, Texts
from ...data.tokens import Tokens
from ...errors import TextclfError, type_name
from ...plugin.component import Component, Options
from ...plugin.options import options_as_json
from ..contract import Broken, Check, Clause, NotApplicable, raised
from ..fresh_process import Answer, Wanted, fit_afresh, home_of
from ..samples import HOSTILE, ORDINARY, many, wordy
from .component import WAY, alike, crossed, difference, forbids, other_values
from .subject import (
    ROUNDING,
    Subject,
    demand_files,
    demand_no_pickle,
    demand_numbers,
    demand_same,
    differ,
    read_options,
    rows_of,
    take,
)

_LAYOUTS = {"matrix": "a matrix", "counts": "counts"}
_SLICED = ("csr", "csc")
_BUILT = ("lil", "dok")


def demand_layout(features: Any, layout: str | None) -> None:
    """Raise Broken where features are not what the traits promise."""
    if features is None:
        raise Broken("encode returns nothing; return one row of features a text")
    if layout == "tokens" and not isinstance(features, Tokens):
        raise Broken(f"it makes tokens, and encode returns {type_name(features)}, not textclf.Tokens")
    if layout not in _LAYOUTS:
        return
    if getattr(features, "ndim", None) != 2:
        found = type_name(features) + (f" of shape {list(features.shape)}" if hasattr(features, "shape") else "")
        raise Broken(f"it makes {_LAYOUTS[layout]}, and encode returns {found}, not an array [texts, columns]")
    if fault := _wrong_matrix(features):
        raise Broken(f"encode returns {fault}")


def demand_rows(features: Any, texts: Sequence[str], layout: str | None) -> None:
    """Raise Broken where there is not one row of numbers, or of tokens, a text."""
    if isinstance(features, Tokens) and (flaw := features.flaw()):
        raise Broken(f"encode returns Tokens whose {flaw}")
    if rows_of(features) != len(texts):
        raise Broken(f"{rows_of(features)} rows for {len(texts)} texts")
    if layout in _LAYOUTS:
        demand_numbers(features, texts, layout)


def _wrong_matrix(features: Any) -> str:
    """Return what keeps a table from being read as every trainer reads it, with the way out."""
    import numpy as np

    found = type_name(features)
    if isinstance(features, np.matrix):
        return "a numpy matrix, which multiplies unlike an array; return np.asarray(...) of it"
    if isinstance(features, np.ma.MaskedArray):
        return "a masked array, whose mask no trainer sees; return .filled(0) of it"
    if hasattr(features, "tocsr"):
        if features.format not in _SLICED:
            why = "is for building one, not for reading it" if features.format in _BUILT else "cannot be sliced"
            return f"{found}, and that {why}; return .tocsr() of it"
    elif not isinstance(features, np.ndarray):
        out = next((name for name in ("to_numpy", "numpy") if hasattr(features, name)), "")
        return f"{found}, not an array; return {f'.{out}() of it' if out else 'a numpy array or a csr_matrix'}"
    return "no columns: a row of no features says nothing of a text" if features.shape[1] == 0 else ""


SOME = 12


def fitted(subject: Subject) -> Any:
    if "fitted" not in subject.memory:
        encoder = subject.build()
        encoder.fit(subject.dataset().train, subject.context())
        subject.memory["fitted"] = encoder
    return subject.memory["fitted"]


def encode(subject: Subject, texts: Texts, encoder: Any = None) -> Any:
    return (encoder or fitted(subject)).encode(texts, subject.context())


def some_texts(subject: Subject) -> Texts:
    return subject.dataset().train.texts.take(range(SOME))


def telling_texts(subject: Subject) -> Texts:
    """Return texts in which options show: of the stand-in, also in capitals, ordinary ones, and a long one."""
    texts = some_texts(subject).first
    long = " ".join(subject.dataset().train.texts.first)
    return subject.texts([*texts, *(text.upper() for text in texts), *ORDINARY, long])


def wordy_split(subject: Subject) -> Split:
    """Return the training split with far more words in its texts, written in all ways."""
    train = subject.dataset().train
    return replace(train, texts=replace(train.texts, first=wordy(train.texts.first)))


def many_texts(subject: Subject) -> Texts:
    """Return more texts than a batch holds, of several lengths, some of them alike in all but a little."""
    texts = subject.dataset().train.texts
    return Texts(many(texts.first), None if texts.second is None else many(texts.second))


def together(subject: Subject) -> Any:
    if "together" not in subject.memory:
        subject.memory["together"] = encode(subject, many_texts(subject))
    return subject.memory["together"]


@dataclass(frozen=True, slots=True)
class Other:
    """An encoder fitted with one option changed; `changed` says which, as in "low 4 in place of 3".

    features: of some texts. fault: what was raised on the way there; then there are no features.
    """

    values: Options
    changed: str
    encoder: Any = None
    features: Any = None
    fault: str = ""


def fitted_otherwise(subject: Subject) -> list[Other]:
    """Return an encoder for each option that can be changed without changing what the traits say."""
    return [other for other in _tried(subject) if not other.fault]


def _tried(subject: Subject) -> list[Other]:
    if "otherwise" not in subject.memory:
        subject.memory["otherwise"] = [other for values in other_values(subject) for other in _fitted(subject, values)]
    others: list[Other] = subject.memory["otherwise"]
    return others


def _crossing(subject: Subject) -> Iterator[Other]:
    """Give an encoder for each number put just above one of the same bounds, as the least above the most."""
    known = [other.values for other in _tried(subject)]
    for changes in crossed(subject):
        try:
            values = read_options(subject.component, {**subject.values, **changes})
        except Exception:  # noqa: BLE001 - what a validator raises is for the clauses of options to tell
            continue
        if values not in known and not forbids(subject, values):
            yield from _fitted(subject, values)


def _fitted(subject: Subject, values: Options) -> list[Other]:
    component, changed = subject.component, difference(subject, values)
    try:
        if component.check is not None:
            list(component.check(values))
        if component.traits_of(values) != subject.traits:
            return []
        encoder = component.build(values)
        encoder.fit(subject.dataset().train, subject.context())
        features = encoder.encode(some_texts(subject), subject.context())
    except TextclfError:
        return []  # it cannot be had here, as more layers than a network has
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        return [Other(values, changed, fault=raised(error, component))]
    return [Other(values, changed, encoder, features)]


def _works_otherwise(subject: Subject) -> None:
    subject.installed()
    tried = [*_tried(subject), *_crossing(subject)]
    if not tried:
        raise NotApplicable("it has no option that can be changed without knowing more of it")
    for other in tried:
        if other.fault:
            raise Broken(f"tried with {other.changed}: {other.fault}{WAY}")


OTHERWISE: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.allowed", "what its options and its check allow, it can be fitted with", "a recipe may say it"),
        _works_otherwise,
        after=("component.allowed", "encoder.layout", "encoder.repeats"),
    ),
)


def _fingerprint_covers_options(subject: Subject) -> None:
    one = fitted(subject)
    if not one.fingerprint():
        raise NotApplicable("its features are never cached")
    if not fitted_otherwise(subject):
        raise NotApplicable("it has no option that can be changed without knowing more of it")
    texts = telling_texts(subject)
    for other in fitted_otherwise(subject):
        _demand_told(subject, other.changed, (one, other.encoder), texts)
    # Who tells only how many words it knows tells nothing where there are more than it keeps.
    train = wordy_split(subject)
    one = _fitted_on(subject, subject.options, train)
    for other in fitted_otherwise(subject) if one else ():
        both = (one, _fitted_on(subject, other.values, train))
        _demand_told(subject, other.changed, both, train.texts.take(range(SOME)))


def _fitted_on(subject: Subject, options: Options, train: Split) -> Any:
    encoder = subject.component.build(options)
    try:
        encoder.fit(train, subject.context())
    except Exception:  # noqa: BLE001 - whether it can be fitted other clauses tell
        return None
    return encoder


def _demand_told(subject: Subject, changed: str, both: Sequence[Any], texts: Texts) -> None:
    """Raise Broken where two encoders have one fingerprint and make other features of the texts."""
    one, other = both
    if other is None or one.fingerprint() != other.fingerprint():
        return
    if differ(encode(subject, texts, one), encode(subject, texts, other), ROUNDING):
        raise Broken(f"with {changed} it gives other features under the same fingerprint")


def _knows_itself(subject: Subject) -> None:
    one, again, train = fitted(subject), subject.build(), subject.dataset().train
    again.fit(train, subject.context())
    if not isinstance(one.fingerprint(), str):
        raise Broken(f"fingerprint returns {type_name(one.fingerprint())}, not a str")
    if one.fingerprint() != again.fingerprint():
        raise Broken("fitted alike, two encoders have different fingerprints")
    if one.fingerprint():
        _demand_another(subject, "fitted on other texts", half(train))
        _demand_another(subject, "fitted on the same texts with other labels", _relabelled(train))
        _demand_another(subject, "fitted with another context.seed", train, seed=1)


def _demand_another(subject: Subject, what: str, train: Split, seed: int = 0) -> None:
    """Raise Broken where what is fitted otherwise has the same fingerprint and gives other features."""
    other, texts = subject.build(), some_texts(subject)
    other.fit(train, subject.context(seed))
    if other.fingerprint() != fitted(subject).fingerprint():
        return
    if differ(encode(subject, texts), other.encode(texts, subject.context(seed))):
        raise Broken(f"{what} it gives other features under the same fingerprint")


def half(train: Split) -> Split:
    import numpy as np

    return train.take(np.arange(len(train) // 2))


def _relabelled(train: Split) -> Split:
    """Return the same texts, each with the label of another."""
    import numpy as np

    rows = np.random.default_rng(0).permutation(len(train))
    return replace(train, labels=train.labels[rows])


FINGERPRINT: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.fingerprint", "equal fingerprints mean equal features", "features are cached under it"),
        _knows_itself,
        after=("encoder.layout", "encoder.repeats", "encoder.refit"),
    ),
    Check(
        Clause("encoder.options", "options that change features change the fingerprint", "features are cached by it"),
        _fingerprint_covers_options,
        after=("component.check", "encoder.hostile", "encoder.repeats", "encoder.refit", "encoder.fingerprint"),
    ),
)


# They take long to load once more, and learn no vocabulary.
_PRETRAINED = {"transformers", "sentence_transformers"}
# Those of many texts that differ little, and some beside them.
_TWINS = range(144, 168)


def _is_the_same_elsewhere(subject: Subject) -> None:
    home, here, texts = _home(subject), fitted(subject), some_texts(subject)
    there = next(iter(_answers(subject)), None)
    if there is None:
        raise NotApplicable(f"another process cannot load '{home}'")
    if there.raised:
        raise Broken(f"in another process it raises {there.raised}")
    if there.features is None:
        raise NotApplicable("its features are in no layout that textclf knows")
    what = "fitted in another process, where a set of str has another order"
    demand_same(encode(subject, texts), there.features, what)
    if there.fingerprint != here.fingerprint():
        raise Broken(f"{what}, it has another fingerprint: nothing would be found in the cache")


def _home(subject: Subject) -> str:
    pretrained = sorted(_PRETRAINED.intersection(subject.component.needs))
    if pretrained:
        raise NotApplicable(f"its vocabulary is that of a pretrained model ({pretrained[0]})")
    home = home_of(subject.component)
    if not home:
        raise NotApplicable("no module offers it by which another process could find it")
    return home


def _answers(subject: Subject) -> list[Answer]:
    """Return what the encoder gives in another process, and then what others of it would give if they were the first.

    Those read their texts in another order.
    """
    if "answers" not in subject.memory:
        train = subject.dataset().train
        backwards = _near(subject).take(list(reversed(range(len(_TWINS)))))
        wanted = [Wanted(subject.values, train, some_texts(subject))]
        wanted += [Wanted(values, half(train), backwards) for values in _others(subject)]
        subject.memory["answers"] = fit_afresh(_home(subject), subject.component.name, wanted, subject.folder())
    answers: list[Answer] = subject.memory["answers"]
    return answers


def _near(subject: Subject) -> Texts:
    return many_texts(subject).take(_TWINS)


def _others(subject: Subject) -> Iterator[Mapping[str, Any]]:
    """Give options of other encoders: with all changed that can be, where that is sound, and the given ones."""
    given, changed = options_as_json(subject.options), {**subject.values}
    for options in other_values(subject):
        if alike(subject, options):
            now = options_as_json(options)
            changed |= {name: now[name] for name in now if now[name] != given[name]}
    with suppress(Exception):  # a validator may raise anything
        if changed != subject.values and alike(subject, read_options(subject.component, changed)):
            yield changed
    yield subject.values


def _stands_alone(subject: Subject) -> None:
    one, texts = subject.build(), _near(subject)
    one.fit(subject.dataset().train, subject.context())
    known, before = one.fingerprint(), encode(subject, texts, one)
    others = [(values, _fitted_and_read(subject, values)) for values in _others(subject)]
    demand_same(before, encode(subject, texts, one), "before and after others of it were fitted", ROUNDING)
    if one.fingerprint() != known:
        raise Broken("when others of it are fitted, it has another fingerprint")
    try:
        alone = _answers(subject)[1:]
    except NotApplicable:
        return
    for (values, features), there in zip(others, alone, strict=False):
        # What cannot be had with those options, or on so few texts, is no fault.
        if features is not None and there.features is not None:
            what = "fitted after others of it, and alone in a process"
            what += "" if values == subject.values else f" ({_said(subject, values)})"
            back = take(there.features, list(reversed(range(len(_TWINS)))))
            demand_same(features, back, what, ROUNDING)


def _said(subject: Subject, values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items() if subject.values.get(name) != value)


def _fitted_and_read(subject: Subject, values: Mapping[str, Any]) -> Any:
    try:
        other = subject.component.build(read_options(subject.component, values))
        other.fit(half(subject.dataset().train), subject.context())
        return encode(subject, _near(subject), other)
    except Exception:  # noqa: BLE001 - other clauses tell what fails
        return None


PROCESS: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.process", "fitted in another process, it gives the same features", "a set has no order there"),
        _is_the_same_elsewhere,
        after=("component.check", "encoder.layout", "encoder.repeats", "encoder.refit", "encoder.fingerprint"),
    ),
    Check(
        Clause("encoder.alone", "others of it in the same process change nothing", "several models may be loaded"),
        _stands_alone,
        after=("encoder.order", "encoder.fingerprint", "encoder.options", "encoder.process"),
    ),
)


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
    with rebuilt(component, "the component"):
        demand_same(features, encode(subject, texts, again), "saved and restored")
        if again.fingerprint() != encoder.fingerprint():
            raise Broken("saved and restored, it has another fingerprint")


@contextmanager
def rebuilt(component: Component[Any, Any], who: str) -> Iterator[None]:
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
