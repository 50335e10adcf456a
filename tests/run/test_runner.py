"""One run from plan to folder: its outcomes, its choices in the recipe, and what is tried first."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.killing import KILLED, deaths, die_at
from tests.packages import ROOT
from tests.places import placeless
from tests.toys import Stopping, contents, engine, plugin, recipe, weights
from textclf import ArtefactError, Chosen, Engine, PluginError, ResourceError, StageFinished, Stopped
from textclf.files import clear_parts, digest
from textclf.plugin.single_file import digest_of
from textclf.run.folder import create, open_run
from textclf.run.resume import refuse_changes
from textclf.run.runner import record_choices
from textclf.testing import toy
from textclf.testing.toy import LinearOptions, ToyLinear, linear_traits


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text("utf-8"))  # type: ignore[no-any-return]


def only_run() -> Path:
    [found] = Path("runs/toy").iterdir()
    return found


FULL = re.compile("the disk is full: cannot write (/.*/)?runs/toy/")
LINEAR = {"encoder": "tfidf", "trainer": "logistic", "metrics": ["accuracy", "log_loss"]}
BEST = {"trainer": {"use": "toy_linear", "epochs": 25, "keep": "best"}}


@pytest.mark.parametrize("changes", [{}, BEST, LINEAR], ids=["toy", "best", "linear"])
def test_the_same_recipe_and_seed_give_the_same_bytes(changes: dict[str, Any]) -> None:
    one, other = (engine().run(recipe(seed=7, **changes)) for _ in range(2))
    assert one.folder != other.folder
    assert contents(one) == contents(other)
    assert weights(one.folder) == weights(other.folder)
    assert contents(engine(cache="elsewhere").run(recipe(seed=7, **changes))) == contents(one)


def test_a_finished_run_has_every_file_and_nothing_else() -> None:
    done = engine().run(recipe(outputs=["toy_summary"]))
    assert sorted(p.name for p in done.folder.iterdir()) == [
        ".lock", "events.jsonl", "metrics.json", "model", "predictions.csv", "recipe.yaml", "record.json",
        "scores.npy", "toy_summary.json", "trained_on.bin",
    ]  # fmt: skip
    about = record(done.folder)
    assert about["state"] == "finished"
    assert set(about["stages"]) == {"load", "split", "encode", "train", "evaluate", "save"}
    assert about["data"]["sizes"] == {"train": 32, "test": 8}
    assert set(about["splits"]) == {"train", "test"}
    assert about["plugins"]["textclf.testing.toy"] == f"sha256:{digest_of(toy)}"
    assert about["error"] is None


@pytest.mark.parametrize("after", [0, 1, 2, 7, 14])
@pytest.mark.parametrize("changes", [{}, BEST], ids=["last", "best"])
def test_an_interrupted_run_goes_on_to_the_same_bytes(after: int, changes: dict[str, Any]) -> None:
    whole = engine(runs="whole").run(recipe(**changes))
    with pytest.raises(Stopped, match=r"^stopped (after epoch \d+ of 25|before training)"):
        engine(stopping=Stopping(after)).run(recipe(**changes))
    folder = only_run()
    assert record(folder)["state"] == "interrupted"
    assert not (folder / "work").exists()
    done = engine().resume(folder)
    assert contents(done) == contents(whole)
    assert weights(done.folder) == weights(whole.folder)
    assert record(folder)["state"] == "finished"
    assert not (folder / "checkpoints").exists()
    assert len((folder / "events.jsonl").read_text().splitlines()) > 25


@pytest.mark.parametrize("moment", [0, 10, 40, 80, 110, 130, 150])
def test_a_run_that_is_killed_at_any_moment_goes_on_to_the_same_bytes(moment: int) -> None:
    """C01: killed at any write, fsync, rename: resume gives the same bits."""
    whole = engine(runs="whole", cache="warm").run(recipe())
    ready = engine(cache="warm")
    assert ready.registry
    assert die_at(lambda: ready.run(recipe()), 30 + moment) == KILLED
    done = engine(cache="warm").resume(only_run())
    assert contents(done) == contents(whole)
    assert weights(done.folder) == weights(whole.folder)
    assert not list(done.folder.glob(".*.part"))


@pytest.mark.parametrize("room", [4000, 5200])
def test_a_disk_that_fills_during_the_run_leaves_a_run_that_goes_on(room: int) -> None:
    """C04, T06: disk full while saving a checkpoint or the model: an error of its own, and the run is resumable."""
    whole = engine(runs="whole").run(recipe())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            engine().run(recipe())
        except ResourceError as error:
            status = error.exit_code if FULL.match(str(error)) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not list(only_run().rglob("*.part"))
    assert contents(engine().resume(only_run())) == contents(whole)


@pytest.mark.parametrize(
    ("error", "says"), [(KeyboardInterrupt, "interrupted"), (Stopped, "stopped before the end")]
)
def test_ctrl_c_or_a_stop_without_words_inside_a_component_is_an_interruption(error: Any, says: str) -> None:
    class Interrupted(ToyLinear):
        def train(self, *_: Any) -> Any:
            raise error

    with pytest.raises(Stopped, match=rf"^{says}$"):
        engine(plugin("trainer", "stubborn", lambda: Interrupted(LinearOptions()))).run(recipe(trainer="stubborn"))
    assert (record(only_run())["state"], record(only_run())["error"]) == ("interrupted", says)


@pytest.mark.parametrize(
    ("error", "says", "code"),
    [
        (ValueError("no"), "trainer 'broken' (plugin textclf_broken): train() fails: ValueError: no", 5),
        (SystemExit(3), "trainer 'broken' (plugin textclf_broken): train() fails: SystemExit: 3", 5),
        (MemoryError(), "out of memory; use less data, a smaller model or smaller batches", 7),
    ],
)
def test_a_component_that_fails_leaves_its_reason_in_the_record(error: BaseException, says: str, code: int) -> None:
    class Broken(ToyLinear):
        def train(self, *_: Any) -> Any:
            raise error

    with pytest.raises(Exception) as raised:
        engine(plugin("trainer", "broken", lambda: Broken(LinearOptions()))).run(recipe(trainer="broken"))
    assert (placeless(str(raised.value)), raised.value.exit_code) == (says, code)  # type: ignore[attr-defined]
    folder = only_run()
    assert (record(folder)["state"], record(folder)["error"]) == ("failed", str(raised.value))
    assert json.loads((folder / "events.jsonl").read_text().splitlines()[-1])["exit_code"] == code
    assert not (folder / "work").exists()


def test_a_run_that_is_killed_at_its_very_end_leaves_nothing_over_once_it_is_resumed() -> None:
    """C01: between the record's last change and the end, checkpoints and the holder's name may be left."""
    done = engine().run(recipe())
    names = sorted(p.name for p in done.folder.iterdir())
    (done.folder / "checkpoints" / "ck-000010").mkdir(parents=True)
    (done.folder / ".holder").write_text("process 1 on a machine")
    assert contents(engine().resume(done.folder)) == contents(done)
    assert sorted(p.name for p in done.folder.iterdir()) == names


def test_what_was_warned_of_before_an_interruption_stays_in_the_record() -> None:
    folder = interrupted()
    with (folder / "events.jsonl").open("a") as events:
        events.write('{"event": "Warned", "time": 1.0, "message": "careful", "stage": "train"}\n')
    done = engine().resume(folder)
    assert "careful" in done.report.warnings  # type: ignore[union-attr]
    assert "careful" in record(folder)["warnings"]


def interrupted(**changes: Any) -> Path:
    with pytest.raises(Stopped):
        engine(stopping=Stopping(5)).run(recipe(**changes))
    return only_run()


def test_a_run_whose_recipe_was_edited_is_not_resumed_unless_told_to() -> None:
    """C05: resume after the recipe changed: refused with the difference, `allow_changed` goes on."""
    folder = interrupted()
    (folder / "recipe.yaml").write_text((folder / "recipe.yaml").read_text().replace("epochs: 25", "epochs: 26"))
    with pytest.raises(ArtefactError) as raised:
        engine().resume(folder)
    assert str(raised.value) == (
        f"{folder} cannot be resumed to the same result: recipe.yaml was edited; run the recipe again, or resume with "
        f"--allow-changed"
    )
    assert record(folder)["state"] == "interrupted"
    assert engine().resume(folder, allow_changed=True).report.metrics["toy_accuracy"].value > 0.5  # type: ignore[union-attr]


def test_a_run_of_other_versions_is_not_resumed_unless_told_to() -> None:
    """C05: resume after a plugin or a library changed: each difference is said."""
    folder = interrupted()
    about = record(folder)
    toys, about["plugins"]["textclf.testing.toy"] = about["plugins"]["textclf.testing.toy"][:19], "0.0.1"
    about["versions"]["numpy"] = "1.0"
    (folder / "record.json").write_text(json.dumps(about))
    with pytest.raises(ArtefactError) as raised:
        engine().resume(folder)
    assert f"numpy was 1.0 and is {np.__version__}; textclf.testing.toy was 0.0.1 and is {toys}; " in str(raised.value)
    assert engine().resume(folder, allow_changed=True).folder == folder


def test_a_run_whose_data_changed_is_not_resumed_unless_told_to() -> None:
    """C05: resume after the data changed: the splits that differ are named."""
    texts = [f"good {i}" if i % 2 else f"bad {i}" for i in range(30)]
    labels = ["pos" if i % 2 else "neg" for i in range(30)]
    with pytest.raises(Stopped):
        engine(stopping=Stopping(5)).run(recipe(dataset=None), (texts, labels))
    folder = only_run()
    texts[0] = "another one"
    with pytest.raises(ArtefactError) as raised:
        engine().resume(folder, (texts, labels))
    assert str(raised.value).startswith("the data has changed since this run began (")
    assert engine().resume(folder, (texts, labels), allow_changed=True).folder == folder


def test_a_run_is_held_by_one_process_at_a_time() -> None:
    """C09: two processes on one run: the second is told who holds it, and changes nothing."""
    folder = interrupted()
    ready = os.pipe()
    child = os.fork()
    if child == 0:
        from textclf.run.folder import open_run

        with open_run(folder).locked():
            os.write(ready[1], b"x")
            signal.pause()
    try:
        os.read(ready[0], 1)
        with pytest.raises(ResourceError, match=rf"^{folder} is held by process {child} on .+; wait for it"):
            engine().resume(folder)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert record(folder)["state"] == "interrupted"
    assert engine().resume(folder).folder == folder


def test_a_run_touches_no_random_state_and_no_working_directory(capsys: pytest.CaptureFixture[str]) -> None:
    engine().run(recipe(**LINEAR))  # scikit-learn sets variables for OpenMP when it is first imported
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes(), Path.cwd(), dict(os.environ)  # type: ignore[union-attr]
    engine().run(recipe())
    engine().run(recipe(**LINEAR))
    assert before == (random.getstate(), np.random.get_state()[1].tobytes(), Path.cwd(), dict(os.environ))  # type: ignore[union-attr]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_observers_that_raise_are_left_out_and_the_run_goes_on(error: BaseException) -> None:
    """P05: an observer that raises: one warning each, however many there are."""
    heard = []

    def first(event: object) -> None:
        raise error

    def second(event: object) -> None:
        raise error

    done = engine(observers=[first, second, heard.append]).run(recipe())
    warned = [event.message for event in heard if hasattr(event, "message")]
    assert len(warned) == len(done.report.warnings) == 2  # type: ignore[union-attr]
    assert f"is left out: {type(error).__name__}: {error}" in warned[0]


def test_an_output_that_raises_costs_a_warning() -> None:
    """P05: an output that raises: warn, and the run is finished."""

    class Failing:
        def write(self, finished: Any, folder: Path) -> None:
            raise OSError("printer on fire")

    done = engine(plugin("output", "paper", Failing)).run(recipe(outputs=["paper", "toy_summary"]))
    assert list(map(placeless, done.report.warnings)) == [  # type: ignore[union-attr]
        "output 'paper' (plugin textclf_paper): write fails, the run goes on: OSError: printer on fire",
    ]
    assert (done.folder / "toy_summary.json").exists()
    assert record(done.folder)["state"] == "finished"


def test_gates_are_held_against_the_lower_end_and_the_run_is_kept() -> None:
    gates = engine().run(recipe(gates={"toy_accuracy": 0.1})).report.gates  # type: ignore[union-attr]
    assert [(g.metric, g.bound, g.met) for g in gates] == [("toy_accuracy", 0.1, True)]
    done = engine().run(recipe(gates={"toy_accuracy": 1.5}))
    assert [(g.bound, g.met) for g in done.report.gates] == [(1.5, False)]  # type: ignore[union-attr]
    assert record(done.folder)["state"] == "finished"


def test_two_engines_in_one_process_do_not_disturb_each_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def run(seed: int) -> dict[str, bytes]:
        return contents(Engine(plugins=[*engine()._plugins], runs=f"runs{seed}").run(recipe(seed=seed)))

    alone = [run(seed) for seed in (1, 2, 3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, (1, 2, 3))) == alone


def test_a_plugin_error_is_never_a_traceback_of_ours() -> None:
    with pytest.raises(PluginError, match=r"^encoder 'lame' \(plugin textclf_lame\): build\(\) returns nothing"):
        engine(plugin("encoder", "lame", lambda: None)).run(recipe(encoder="lame"))


RATE = Chosen(what="rate", choice=0.5, options={"trainer.rate": 0.5})


class Choosing(ToyLinear):
    """Chooses its rate, which its recipe leaves at the default."""

    tells = RATE

    def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
        context.emit(self.tells)
        return super().train(encoder, train, validation, labels, context)


def choosing(tells: Chosen = RATE, **settings: Any) -> Any:
    kind = type("Choosing", (Choosing,), {"tells": tells})
    made = plugin("trainer", "choosing", lambda: kind(LinearOptions()), options=LinearOptions, traits=linear_traits)
    return engine(made, **settings)


def written(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((folder / "recipe.yaml").read_text())
    return values


def test_the_recipe_of_a_run_names_what_the_run_chose() -> None:
    result = choosing().run(recipe(trainer="choosing"))
    assert written(result.folder)["trainer"] == {"use": "choosing", "epochs": 30, "rate": 0.5, "keep": "last"}
    again = choosing().run(result.folder / "recipe.yaml")
    assert contents(again) == contents(result)
    record = json.loads((result.folder / "record.json").read_text())
    assert record["recipe_sha256"] == digest(result.folder / "recipe.yaml") != record["recipe_asked_sha256"]


def test_a_choice_without_options_leaves_the_recipe_as_it_was() -> None:
    result = choosing(Chosen(what="layout", choice="packed")).run(recipe(trainer="choosing"))
    assert written(result.folder)["trainer"]["rate"] == 1.0
    assert "recipe_asked_sha256" not in json.loads((result.folder / "record.json").read_text())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"trainer.speed": 1, "metrics.0": "f1"},
            [f"a choice names the option '{name}', which the recipe does not have; it is left out of the recipe"
             for name in ("trainer.speed", "metrics.0")],
        ),
        (
            {"trainer.rate": -1},
            ["a choice cannot be written into the recipe: trainer.rate: must be greater than 0, not -1"],
        ),
    ],
)  # fmt: skip
def test_an_option_that_a_step_does_not_take_is_a_warning_and_not_the_end(options: Any, says: list[str]) -> None:
    """P04: what a component says wrongly is caught at the border."""
    result = choosing(Chosen(what="rate", choice="any", options=options)).run(recipe(trainer="choosing"))
    assert list(result.report.warnings) == says  # type: ignore[union-attr]
    assert written(result.folder)["trainer"]["rate"] == 1.0


def test_a_run_that_was_interrupted_ends_with_the_recipe_and_the_results_of_one_that_was_not() -> None:
    whole = choosing().run(recipe(trainer="choosing"))
    with pytest.raises(Stopped) as stopped:
        choosing(stopping=Stopping(5)).run(recipe(trainer="choosing"))
    assert stopped.value.exit_code == 75
    resumed = choosing().resume("toy")
    assert resumed.folder != whole.folder
    assert contents(resumed) == contents(whole)
    assert (resumed.folder / "recipe.yaml").read_bytes() == (whole.folder / "recipe.yaml").read_bytes()


def test_a_run_killed_while_its_recipe_is_written_can_be_resumed(tmp_path: Path) -> None:
    """C05: a recipe that the run itself has fixed is no change; what a person edits still is."""
    plan = choosing().plan(recipe(trainer="choosing"))
    folder = create(tmp_path / "runs", "toy", plan.resolved(), plugins=plan.plugins())
    rates = []
    for _ in deaths(lambda: record_choices(folder, plan, RATE.options, pytest.fail)):
        rates.append(written(folder.path)["trainer"]["rate"])
        resumed = open_run(folder.path)
        refuse_changes(resumed, plan)
        clear_parts(resumed.path)
    assert len(rates) > 5
    assert set(rates) == {1.0, 0.5}
    fixed = choosing().plan(folder.path / "recipe.yaml")
    assert record_choices(open_run(folder.path), fixed, RATE.options, pytest.fail).resolved() == fixed.resolved()


class Trainer:
    def train(self, *_: Any) -> Any:
        """Nothing, and there is no `restore`."""


def said_before_loading(kind: str, make: Any, **changes: Any) -> str:
    """Return what a run says that ends before its first stage."""
    events: list[Any] = []
    with pytest.raises(PluginError) as caught:
        engine(plugin(kind, "odd", make), observers=[events.append]).run(recipe(**changes))
    assert [type(event).__name__ for event in events] == ["RunStarted", "RunFailed"]
    return placeless(str(caught.value)).removeprefix(f"{kind} 'odd' (plugin textclf_odd): ")


def test_a_trainer_without_restore_is_refused_before_anything_is_loaded() -> None:
    says = "build() returns a Trainer without 'restore', which the contract of textclf.Trainer requires"
    assert said_before_loading("trainer", Trainer, trainer="odd") == says


def test_an_output_that_cannot_write_is_refused_before_anything_is_loaded() -> None:
    says = "build() returns a dict without 'write', which the contract of textclf.Output requires"
    assert said_before_loading("output", dict, outputs=["odd"]) == says


def test_each_component_is_built_once_and_before_anything_is_loaded() -> None:
    """The objects that are built are those that work."""
    built: list[str] = []

    class Loading:
        def load(self, context: Any) -> Any:
            assert sorted(built) == ["dataset", "encoder", "metric", "output", "trainer"]
            return toy.ToyTexts(toy.TextsOptions()).load(context)

    def counted(kind: str, make: Any) -> Any:
        about = {"options": toy.TextsOptions, "traits": toy.texts_traits} if kind == "dataset" else {}
        return plugin(kind, f"my_{kind}", lambda: built.append(kind) or make(), **about)

    parts = {
        "dataset": Loading, "encoder": lambda: toy.ToyWords(toy.WordsOptions()),
        "trainer": lambda: ToyLinear(LinearOptions()), "metric": toy.ToyAccuracy, "output": Nothing,
    }  # fmt: skip
    steps = {"dataset": "my_dataset", "encoder": "my_encoder", "trainer": "my_trainer", "metrics": ["my_metric"]}
    engine(*(counted(kind, make) for kind, make in parts.items())).run(recipe(**steps, outputs=["my_output"]))
    assert len(built) == 5


class Nothing:
    def write(self, finished: Any, folder: Path) -> None:
        """Write nothing."""


OPENED = """
import sys, collections
from tests.toys import engine, recipe
opened = collections.Counter()
def audit(event, about):
    if event == "open" or event == "os.rename":
        name = str(about[event == "os.rename"]).rpartition("/")[2]
        opened[name] += name in ("record.json", "events.jsonl", "metrics.json", "recipe.yaml")
sys.addaudithook(audit)
engine().run(recipe(outputs=["toy_summary"]))
assert {name: count for name, count in opened.items() if count} == {
    "record.json": 2, "events.jsonl": 1, "metrics.json": 1, "recipe.yaml": 1,
}, opened
"""


def test_a_run_opens_each_of_its_files_once_and_its_record_at_the_beginning_and_the_end() -> None:
    places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", OPENED], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": places}
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_that_was_killed_after_its_split_is_not_resumed_on_other_data(tmp_path: Path) -> None:
    """C05: the record is written at the end alone, so the journal has the digests of the splits."""
    texts = [f"good {i}" if i % 2 else f"bad {i}" for i in range(30)]
    labels = ["pos" if i % 2 else "neg" for i in range(30)]

    def die(event: object) -> None:
        if isinstance(event, StageFinished) and event.stage == "split":
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        engine(observers=[die]).run(recipe(dataset=None), (texts, labels))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    folder = only_run()
    assert "splits" not in record(folder)
    with pytest.raises(ArtefactError, match=r"^the data has changed since this run began \(train"):
        engine().resume(folder, ([*texts[1:], "another one"], labels))
    assert set(record(engine().resume(folder, (texts, labels)).folder)["splits"]) == {"train", "test"}
