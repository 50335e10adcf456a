"""The clauses of trainers and models: they learn, stop, resume, restore, and leave their input alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ...data.dataset import Dataset, Labels, Split, Task
from ...data.predictions import Decision, Encoded
from ...errors import ArtefactError, DataError, Stopped, error_text, type_name
from ...files import manifest
from ...plugin.protocols import Encoder, Model
from ..context import FolderCheckpoints, LocalContext, judge_against
from ..contract import Broken, Check, Clause, NotApplicable, line_of, raised
from .encoder import rebuilt
from .subject import Subject, as_cached, as_made, demand_files, demand_no_pickle, demand_same, dense, take

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model and what it was trained with; `features` are those of the test split."""

    dataset: Dataset
    encoder: Encoder
    model: Model
    features: Any

    def scores(self, subject: Subject) -> NDArray[np.float32]:
        return self.model.scores(self.features, subject.context())


def train_once(subject: Subject, task: Task, *, labels: Labels | None = None, again: bool = False) -> Trained:
    """Train on the stand-in dataset, once for each task unless `again`; `labels` rename the dataset's."""
    key = ("trained", task)
    if again or labels is not None or key not in subject.memory:
        trained = teach(lesson_of(subject, task, labels), subject.context(seed=7))
        if again or labels is not None:
            return trained
        subject.memory[key] = trained
    kept: Trained = subject.memory[key]
    return kept


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a trainer is given: an encoder, the dataset encoded by it, and a judge of the test split.

    validation: what it is given as that, where it uses one, if not the test split.
    """

    subject: Subject
    dataset: Dataset
    encoder: Encoder
    train: Encoded
    test: Encoded
    validation: Encoded | None = None


def lesson_of(subject: Subject, task: Task, labels: Labels | None = None) -> Lesson:
    component, options = subject.stand_in_encoder()
    dataset = subject.dataset(task)
    dataset = dataset if labels is None else replace(dataset, labels=labels)
    if dataset.test is None:
        raise NotApplicable("the stand-in dataset has no test split")
    encoder: Encoder = component.build(options)
    context = subject.context()
    encoder.fit(dataset.train, context)
    folder = subject.folder()
    train = Encoded(as_cached(encoder.encode(dataset.train.texts, context), folder / "train.npy"), dataset.train.labels)
    test = Encoded(as_cached(encoder.encode(dataset.test.texts, context), folder / "test.npy"), dataset.test.labels)
    return Lesson(subject, dataset, encoder, train, test)


def teach(lesson: Lesson, context: LocalContext) -> Trained:
    subject, labels = lesson.subject, lesson.dataset.labels
    context.judging = judge_against(lesson.test.labels, labels)
    validation = (lesson.validation or lesson.test) if subject.traits.uses_validation else None
    trainer = subject.build()
    model = trainer.train(lesson.encoder, lesson.train, validation, labels, context)
    missing = [name for name in ("scores", "save") if not callable(getattr(model, name, None))]
    if missing:
        at = line_of(trainer.train)
        raise Broken(f"train returns {type_name(model)}, which has no {', '.join(missing)}{at}")
    return Trained(lesson.dataset, lesson.encoder, model, lesson.test.features)


def tasks_of(subject: Subject) -> Iterator[Task]:
    yield from sorted(subject.traits.tasks, reverse=True)


def _demand_matrix(subject: Subject) -> None:
    component, options = subject.stand_in_encoder()
    if component.traits_of(options).makes not in ("matrix", "counts"):
        raise NotApplicable("its features are no matrix")


def _leaves_its_input(subject: Subject) -> None:
    _demand_matrix(subject)
    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        train, test = lesson.train, lesson.test
        before = [dense(train.features).copy(), train.labels.copy(), dense(test.features).copy()]
        try:
            _work(lesson)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            made, other = (replace(one, features=as_made(one.features)) for one in (train, test))
            _demand_no_better(subject, replace(lesson, train=made, test=other), error)
        after = [dense(train.features), train.labels, dense(test.features)]
        if any((one != other).any() for one, other in zip(before, after, strict=True)):
            raise Broken("it changes the features or labels it is given")


def _work(lesson: Lesson) -> None:
    teach(lesson, lesson.subject.context(seed=7)).scores(lesson.subject)


def _demand_no_better(subject: Subject, lesson: Lesson, fault: BaseException) -> NoReturn:
    """Raise Broken where a lesson that can be written into is learnt; what fails anyhow is for others to tell."""
    try:
        _work(lesson)
    except (Exception, SystemExit):  # noqa: BLE001 - as above
        raise NotApplicable("it does not get so far") from None
    said = raised(fault, subject.component)
    raise Broken(f"given read-only features, as a run's cache gives them, it raises {said}") from None


def _does_without_a_label(subject: Subject) -> None:
    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        absent = _absent(lesson)
        try:
            trained = teach(_without(lesson, absent), subject.context(seed=7))
        except DataError as refused:
            raise NotApplicable(f"it refuses to learn without it: {refused}") from None
        demand_probabilities(subject, trained)
        right = _right_without(absent, Decision().decide(trained.scores(subject), lesson.dataset.labels), lesson.test)
        if right < LEARNT:
            name = lesson.dataset.labels.names[absent]
            raise Broken(
                f"where no training text has the label '{name}', of the other {task} texts it gets {right:.0%} right; "
                f"{LEARNT:.0%} is asked; keep a column for each of `labels`, in their order"
            )


def _absent(lesson: Lesson) -> int:
    """Return the column of a label in the middle: what drops it from the columns shifts those behind it."""
    labels = lesson.dataset.labels
    if len(labels) < 3:
        raise NotApplicable("without one of two labels nothing is left to tell apart")
    return len(labels) // 2


def _without(lesson: Lesson, absent: int) -> Lesson:
    """Return the lesson without the training texts of a label; in a multi-label task, without the label."""
    import numpy as np

    labels = lesson.train.labels.copy()
    if labels.ndim == 2:
        labels[:, absent] = False
        return replace(lesson, train=Encoded(lesson.train.features, labels))
    kept = np.flatnonzero(labels != absent)
    return replace(lesson, train=Encoded(take(lesson.train.features, kept.tolist()), labels[kept]))


def _right_without(absent: int, decided: NDArray[Any], test: Encoded) -> float:
    """Return the share of right answers to the texts of the other labels, or in the worst of their columns."""
    import numpy as np

    right = decided == test.labels
    others = np.delete(right, absent, axis=1) if right.ndim == 2 else right[test.labels != absent]
    return float(others.mean(axis=0).min())


def _uses_validation(subject: Subject) -> None:
    subject.stand_in_encoder()
    if not subject.traits.uses_validation:
        raise NotApplicable("it uses no validation texts")


def _learns_from_train_alone(subject: Subject) -> None:
    import numpy as np

    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        turned = replace(lesson, validation=Encoded(lesson.test.features, np.roll(lesson.test.labels, 1, axis=0)))
        scores = train_once(subject, task).scores(subject)
        other = teach(turned, subject.context(seed=7)).scores(subject)
        if not np.array_equal(scores, other):
            raise Broken(
                f"with other labels of the validation texts, judged alike, {task} scores differ by up to "
                f"{np.abs(scores - other).max():.3g}: learn from train, and ask context.judge about validation"
            )


TAUGHT_TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.input", "what it is given stays as it is", "features are shared and cached"),
        _leaves_its_input,
    ),
    Check(
        Clause("trainer.absent", "a label that no training text has is a column, too", "small splits lack rare labels"),
        _does_without_a_label,
        after=("trainer.scores", "trainer.learns"),
    ),
    Check(
        Clause("trainer.validation", "it learns nothing from labels of validation", "what chooses must not be learnt"),
        _learns_from_train_alone,
        after=("trainer.scores", "trainer.repeats"),
        applies=_uses_validation,
    ),
)


def _stops_on_request(subject: Subject) -> None:
    if "stopped" not in subject.memory:
        subject.memory["stopped"] = _stopped(subject)
    if not subject.memory["stopped"]:
        raise NotApplicable("it never asks context.stopping(): training is over before anybody could wish to stop it")


def _stopped(subject: Subject) -> bool:
    """Stop training at its second question, and tell whether it asked at all."""
    context = subject.context(seed=7)
    context.checkpoints, context.stop_after = FolderCheckpoints(subject.folder()), 1
    try:
        teach(lesson_of(subject, next(tasks_of(subject))), context)
    except Stopped:
        subject.memory["checkpoints"] = context.checkpoints
        return True
    if context.stop_after < 0:
        raise Broken("asked to stop, it goes on to the end: save a checkpoint and raise textclf.Stopped")
    return False


def _resumes(subject: Subject) -> None:
    store = _checkpoints(subject)
    # Stopped anew soon after it was resumed: what it saves then has to hold all that was before, too.
    with suppress(Stopped):
        _teach(subject, store, stop_after=1)
    _demand_whole(subject, _teach(subject, store), "stopped twice and resumed")
    _demand_whole(subject, _teach(subject, store), "resumed once more when it was over")


def _checkpoints(subject: Subject) -> FolderCheckpoints:
    _stops_on_request(subject)
    store: FolderCheckpoints = subject.memory["checkpoints"]
    if store.latest() is None:
        raise NotApplicable("it saves no checkpoint: what is stopped begins anew")
    return store


def _teach(subject: Subject, store: FolderCheckpoints, stop_after: int | None = None) -> NDArray[np.float32]:
    """Go on from the newest checkpoint, and return the scores."""
    context = subject.context(seed=7)
    context.checkpoints, context.stop_after = store, stop_after
    return teach(lesson_of(subject, next(tasks_of(subject))), context).scores(subject)


def _demand_whole(subject: Subject, resumed: NDArray[np.float32], how: str) -> None:
    import numpy as np

    whole = train_once(subject, next(tasks_of(subject))).scores(subject)
    if not np.array_equal(resumed, whole):
        worst = np.abs(resumed - whole).max()
        raise Broken(f"{how}, its scores differ from those of a whole training by up to {worst:.3g}")


def _checkpoints_no_pickle(subject: Subject) -> None:
    demand_no_pickle(_checkpoints(subject).folder)


RESUMED_TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.stopping", "asked to stop, it raises Stopped", "Ctrl-C must not lose hours"),
        _stops_on_request,
        after=("trainer.scores",),
    ),
    Check(
        Clause("trainer.resume", "stopped and resumed, it gives the same scores, bit for bit", "nothing is lost"),
        _resumes,
        after=("trainer.stopping", "trainer.repeats", "trainer.scores"),
    ),
    Check(
        Clause("trainer.checkpoints", "no checkpoint is a pickle", "loading a pickle runs whatever is in it"),
        _checkpoints_no_pickle,
        after=("trainer.stopping", "trainer.resume"),
    ),
)


# Solvers may take other steps through zeros that are not stored: what they find is near, not equal.
_NEAR = 0.05
_SPARSE_ROUNDING = 1e-4


def _forms() -> Mapping[str, Callable[[Any], Any]]:
    """Return the forms in which sparse features come: the encoder's own, or the cache's, which keeps a csr_matrix."""
    if find_spec("scipy") is None:
        raise NotApplicable("not installed: scipy")
    from scipy import sparse

    return {"csr_matrix": sparse.csr_matrix, "csr_array": sparse.csr_array}


def _takes_sparse_features(subject: Subject) -> None:
    component, options = subject.stand_in_encoder()
    if component.traits_of(options).makes not in ("matrix", "counts"):
        raise NotApplicable("its features are no matrix")
    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        whole = teach(_as(lesson, dense), subject.context(seed=7))
        for name, form in _forms().items():
            try:
                _demand_alike(whole, _as(lesson, form), f"{task} scores of a dense array and of a {name}")
            except (Broken, NotApplicable):
                raise
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                raise Broken(f"given a {name} it raises {raised(error, subject.component)}") from None


def _demand_alike(whole: Trained, lesson: Lesson, what: str) -> None:
    """Raise Broken where a model scores a sparse matrix otherwise, or another is learnt from it."""
    subject = lesson.subject
    scores = whole.scores(subject)
    demand_same(scores, whole.model.scores(lesson.test.features, subject.context()), what, _SPARSE_ROUNDING)
    demand_same(scores, teach(lesson, subject.context(seed=7)).scores(subject), f"{what}, trained on each", _NEAR)


def _as(lesson: Lesson, form: Callable[[Any], Any]) -> Lesson:
    train, test = (Encoded(_turned(one.features, form), one.labels) for one in (lesson.train, lesson.test))
    return replace(lesson, train=train, test=test)


def _turned(features: Any, form: Callable[[Any], Any]) -> Any:
    return form(dense(features).astype(features.dtype))


SPARSE_TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.sparse", "dense or sparse, the same features give the same scores", "encoders make either"),
        _takes_sparse_features,
        after=("trainer.scores", "trainer.repeats", "trainer.input", "trainer.neighbours"),
    ),
)


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
        found = f"{scores.dtype}{list(scores.shape)}" if array else type_name(scores)
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
            raise NotApplicable(f"it does not get so far: {error_text(error)}") from error
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
    return line_of(trained.model.save)


def _comes_back(subject: Subject) -> None:
    component, options = subject.stand_in_encoder()
    for task in tasks_of(subject):
        trained = train_once(subject, task)
        folder = _saved(subject, trained)
        encoder = component.build(options) if component.restore is None else component.restore(options, folder)
        with rebuilt(component, f"the encoder '{component.name}'"):
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
