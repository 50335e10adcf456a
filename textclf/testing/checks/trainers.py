"""Owns the clauses of trainers and of the models they return."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.dataset import Labels, Split
from ...data.predictions import Decision
from ...errors import ArtefactError, kind_of, said
from ...files import manifest
from ..clauses import Broken, Check, Clause, NotApplicable, line_of
from .comparing import demand_files, demand_no_pickle, demand_same, take
from .encoders import made_anew
from .subject import Subject
from .training import Trained, tasks_of, train_once

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the toy's lessons sound classifiers get 88 % right or more, the worst of 16 in its worst column; who loses a label,
# mixes up two or learns nothing gets at most 67 %.
LEARNT = 0.75
_STEPS = re.compile("(?:max_|n_|num_|total_)?(?:epochs|steps|iter|iters|iterations|rounds|passes)")
_MANY = 300
_ROUNDING = 1e-5


def _gives_a_model(subject: Subject) -> None:
    for task in tasks_of(subject):
        train_once(subject, task)


def _learns(subject: Subject) -> None:
    for task in tasks_of(subject):
        trained = train_once(subject, task)
        labels, test = trained.dataset.labels, trained.dataset.test
        decided = Decision().decide(trained.scores(subject), labels)
        right, of = _right(decided, test, labels) if test else (0.0, "")
        if right < LEARNT:
            many, others = len(trained.dataset.train), len(test or ())
            found = f"taught on {many} separable {task} texts it gets {right:.0%} right of {others} others{of}"
            raise Broken(f"{found}; {LEARNT:.0%} is asked; where it needs more steps for that, {_way(subject)}")


def _right(decided: NDArray[Any], test: Split, labels: Labels) -> tuple[float, str]:
    """Return the share of right answers; of a multi-label task in the worst column, whose label is named."""
    right = (decided == test.labels).mean(axis=0)
    if not right.ndim:
        return float(right), ""
    worst = int(right.argmin())
    return float(right[worst]), f" in the column of '{labels.names[worst]}'"


def _way(subject: Subject) -> str:
    """Say how a trainer is checked with other options, by name where one tells how many steps it takes."""
    name, fields = subject.component.name, subject.component.options.model_fields
    if not fields:
        return "give it an option for their number"
    steps = [option for field, about in fields.items() if _STEPS.fullmatch(option := about.alias or field)]
    if not steps:
        return "check it with other options"
    set_, option = f"`--set {name}.{steps[0]}=...`", f"`options={{'{name}': {{'{steps[0]}': ...}}}}`"
    return f"give it options, such as {set_} or {option}"


def _gives_probabilities(subject: Subject) -> None:
    for task in tasks_of(subject):
        demand_probabilities(subject, train_once(subject, task))


def demand_probabilities(subject: Subject, trained: Trained) -> None:
    import numpy as np

    scores, labels = trained.scores(subject), trained.dataset.labels
    shape, task = (len(trained.dataset.test or ()), len(labels)), labels.task
    if not isinstance(scores, np.ndarray) or scores.dtype != np.float32 or scores.shape != shape:
        array = isinstance(scores, np.ndarray)
        found = f"{scores.dtype}{list(scores.shape)}" if array else kind_of(scores)
        raise Broken(f"{task} scores are {found}, not float32{list(shape)}")
    if not np.isfinite(scores).all():
        raise Broken(f"{task} scores hold NaN or infinity")
    if scores.min() < 0 or scores.max() > 1:
        raise Broken(f"{task} scores reach from {scores.min()} to {scores.max()}, not from 0 to 1")
    if task == "single-label" and not np.allclose(scores.sum(axis=1), 1, atol=1e-4):
        raise Broken(f"the scores of a text add up to {scores.sum(axis=1).min()}, not to 1")


def _ignores_neighbours(subject: Subject) -> None:
    import numpy as np

    for task in tasks_of(subject):
        trained = train_once(subject, task)
        scores = trained.scores(subject)
        for row in range(0, len(scores), 10):
            alone = trained.model.scores(take(trained.features, [row]), subject.context())
            demand_same(scores[[row]], alone, f"text {row} scored alone and among {len(scores)}", _ROUNDING)
        # More than a batch of what scores in batches, and in no order that would come round with them.
        many = np.random.default_rng(0).integers(0, len(scores), _MANY)
        crowd = trained.model.scores(take(trained.features, many.tolist()), subject.context())
        demand_same(scores[many], crowd, f"texts scored among {len(scores)} and among {_MANY}", _ROUNDING)


def _repeats(subject: Subject) -> None:
    import numpy as np

    for task in tasks_of(subject):
        one = train_once(subject, task).scores(subject)
        other = train_once(subject, task, again=True).scores(subject)
        if not np.array_equal(one, other):
            raise Broken(f"trained twice with one seed, {task} scores differ by up to {np.abs(one - other).max():.3g}")


def _ignores_names(subject: Subject) -> None:
    import numpy as np

    for task in tasks_of(subject):
        one = train_once(subject, task)
        renamed = Labels(tuple(f"{len(one.dataset.labels) - i} other" for i in range(len(one.dataset.labels))), task)
        other = train_once(subject, task, labels=renamed).scores(subject)
        if not np.array_equal(one.scores(subject), other):
            raise Broken(f"other names for the labels give other {task} scores")


def _refuses_other_labels(subject: Subject) -> None:
    component, options = subject.stand_in_encoder()
    trained = train_once(subject, next(tasks_of(subject)))
    folder, labels = _saved(subject, trained), trained.dataset.labels
    encoder = component.build(options) if component.restore is None else component.restore(options, folder)
    more = Labels((*labels.names, "one more"), labels.task)
    try:
        subject.build().restore(folder, encoder, more)
    except ArtefactError:
        return
    raise Broken(f"a model of {len(labels)} labels is restored for {len(more)}; raise an ArtefactError")


def _keeps_to_its_folder(subject: Subject) -> None:
    """What reads tokens has the encoder write the network's weights, beside what the encoder saved itself."""
    encoder, options = subject.stand_in_encoder()
    everywhere = encoder.traits_of(options).makes not in ("matrix", "counts")
    for task in tasks_of(subject):
        trained, folder = train_once(subject, task), subject.folder()
        trained.encoder.save(folder)
        first = manifest(folder)
        try:
            trained.model.save(folder)
        except Exception as error:
            # It is found by trainer.restore.
            raise NotApplicable(f"it does not get so far: {said(error)}") from error
        demand_files(folder)
        files = manifest(folder)
        taken = [name for name in first if files.get(name) != first[name]]
        if taken:
            verb = "changes" if taken[0] in files else "removes"
            raise Broken(f"saving the model {verb} '{taken[0]}', which the encoder has saved{_at(subject, trained)}")
        beside = [name for name in files if name not in first and not name.startswith("trainer/")]
        if beside and not everywhere:
            raise Broken(f"it saves '{beside[0]}', not under folder / 'trainer'{_at(subject, trained)}")


def _at(subject: Subject, trained: Trained) -> str:
    return line_of(trained.model.save, subject.component)


def _comes_back(subject: Subject) -> None:
    component, options = subject.stand_in_encoder()
    for task in tasks_of(subject):
        trained = train_once(subject, task)
        folder = _saved(subject, trained)
        encoder = component.build(options) if component.restore is None else component.restore(options, folder)
        with made_anew(component, f"the encoder '{component.name}'"):
            model = subject.build().restore(folder, encoder, trained.dataset.labels)
            if model is None:
                raise Broken("restore returns nothing; return the model")
            again = model.scores(trained.features, subject.context())
        demand_same(trained.scores(subject), again, f"{task} scores after save and restore", _ROUNDING)


def _saves_no_pickle(subject: Subject) -> None:
    for task in tasks_of(subject):
        demand_no_pickle(_saved(subject, train_once(subject, task)))


def _saved(subject: Subject, trained: Trained) -> Path:
    folder = subject.folder()
    trained.encoder.save(folder)
    trained.model.save(folder)
    return folder


TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.model", "train returns a model with scores and save", "it is used and stored by them"),
        _gives_a_model,
        after=("trainer.input",),
    ),
    Check(
        Clause("trainer.scores", "scores are probabilities, float32[texts, labels]", "decisions rest on them"),
        _gives_probabilities,
        after=("trainer.model",),
    ),
    Check(
        Clause("trainer.learns", "it learns separable texts in every task of its traits", "a wrong wiring shows here"),
        _learns,
        after=("trainer.scores",),
    ),
    Check(
        Clause("trainer.neighbours", "a text's scores do not depend on the other texts", "users ask for one text"),
        _ignores_neighbours,
        after=("trainer.scores", "trainer.repeats"),
    ),
    Check(
        Clause("trainer.repeats", "the same seed gives the same scores, bit for bit", "a run must be repeatable"),
        _repeats,
        after=("trainer.scores",),
    ),
    Check(
        Clause("trainer.names", "the names of the labels change nothing", "names are for people, columns for models"),
        _ignores_names,
        after=("trainer.scores", "trainer.repeats"),
    ),
    Check(
        Clause(
            "trainer.files",
            "a model saves plain files under trainer/ and changes no file of the encoder's",
            "both lie there",
        ),
        _keeps_to_its_folder,
        after=("trainer.scores",),
    ),
    Check(
        Clause("trainer.restore", "saved and restored, a model gives the same scores", "models are made to be loaded"),
        _comes_back,
        after=("trainer.scores", "trainer.repeats", "trainer.files"),
        offline=True,
    ),
    Check(
        Clause("trainer.pickle", "nothing a model saves is a pickle", "loading a pickle runs whatever is in it"),
        _saves_no_pickle,
        after=("trainer.scores", "trainer.restore"),
    ),
    Check(
        Clause("trainer.labels", "a model is refused for another number of labels", "a column would lack its label"),
        _refuses_other_labels,
        after=("trainer.restore", "trainer.pickle"),
    ),
)
