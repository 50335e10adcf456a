"""Discovery of plugins: each alone, each hook, TEXTCLF_TRACE."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.places import placeless
from tests.sample import SAMPLE, build, plugin
from tests.single_files import write
from tests.toys import TRAITS, engine, recipe
from textclf import Component, Engine, Event, Field, Options, PluginError, Traits, __version__
from textclf.plugin.component import Kind
from textclf.plugin.discovery import discover
from textclf.plugin.hookspecs import hookimpl
from textclf.plugin.registry import Registry
from textclf.testing import toy


def offering(*components: object):
    return lambda: list(components)


def reason(**hooks: object) -> str:
    """Return why a plugin with the given hooks is broken."""
    found = discover([plugin("textclf_odd", **hooks), SAMPLE], entry_points=False)
    assert found.names("trainer") == ["bayes", "linear", "net"]
    return next(known.error for known in found.plugins if known.module == "textclf_odd")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install distributions with one module and one entry point each, for as long as the test runs."""
    names: list[str] = []

    def installed(name: str, code: str, requires: str = "", target: str = "") -> None:
        names.append(name)
        (tmp_path / f"{name}.py").write_text(code)
        folder = tmp_path / f"{name}-1.2.dist-info"
        folder.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n{needs}")
        (folder / "entry_points.txt").write_text(f"[textclf]\n{name.removeprefix('textclf_')} = {target or name}\n")

    monkeypatch.syspath_prepend(tmp_path)
    yield installed
    for name in names:
        sys.modules.pop(name, None)


def named(registry: Registry, module: str):
    return next(known for known in registry.plugins if known.module == module)


SHOUT = """
from textclf import Component, Traits

def textclf_encoders():
    return [Component(name="shout", build=lambda options: None, traits=Traits(makes="matrix"))]
"""


def test_an_installed_plugin_is_found_with_its_distribution(install):
    install("textclf_shout", SHOUT)
    found = discover()
    offer = found.find("encoder", "shout")
    assert (offer.plugin.name, offer.plugin.module, offer.plugin.distribution, offer.plugin.version) == (
        "shout", "textclf_shout", "textclf_shout", "1.2",
    )  # fmt: skip
    assert found.of(offer.plugin) == [offer]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_library", "fails at import: ModuleNotFoundError: No module named 'no_such_library'"),
        ("def broken(:", "fails at import: SyntaxError: invalid syntax (textclf_broken.py, line 1)"),
        ("import sys; sys.exit(3)", "fails at import: SystemExit: 3"),
        ("raise SystemExit", "fails at import: SystemExit"),
        ("class Own(BaseException): ...\nraise Own('x')", "fails at import: Own: x"),
    ],
)
def test_a_plugin_that_fails_at_import_is_listed_and_harms_nothing(install, code, reason):
    """P01: ImportError, SyntaxError, `sys.exit()`: listed with the reason, the rest works."""
    install("textclf_broken", code)
    install("textclf_shout", SHOUT)
    found = discover()
    # A SyntaxError says itself where it is.
    where = "" if "SyntaxError" in reason else f" (textclf_broken.py:{len(code.splitlines())})"
    assert named(found, "textclf_broken").error == f"{reason}{where}"
    assert named(found, "textclf_broken").broken
    assert found.find("encoder", "shout").plugin.version == "1.2"


def test_an_entry_point_may_name_an_object(install):
    door = "class Door: textclf_encoders = staticmethod(textclf_encoders)\n"
    install("textclf_shout", SHOUT + door, target="textclf_shout:Door")
    assert discover().find("encoder", "shout").plugin.module == "textclf_shout:Door"


def test_an_entry_point_to_nothing_is_listed(install):
    """P01: the module is there, what the entry point names in it is not."""
    install("textclf_shout", SHOUT, target="textclf_shout:Window")
    wrong = named(discover(), "textclf_shout:Window")
    assert wrong.error == "fails at import: AttributeError: module 'textclf_shout' has no attribute 'Window'"


def test_a_plugin_for_another_version_is_listed_with_both(install):
    """P07: it is not even imported; both versions are named."""
    install("textclf_shout", "raise AssertionError('imported')", "textclf-engine>=99")
    assert named(discover(), "textclf_shout").error == (
        f"needs textclf-engine>=99, and this is {__version__}; install a version of 'textclf_shout' made for it"
    )


def test_a_plugin_for_this_version_works(install):
    """P07: bounds that this version keeps."""
    install("textclf_shout", SHOUT, f"textclf-engine (>={__version__},<99)")
    assert discover().find("encoder", "shout").plugin.version == "1.2"


def test_a_blocked_entry_point_is_kept_out(install, monkeypatch):
    install("textclf_shout", SHOUT)
    monkeypatch.setenv("TEXTCLF_BLOCK", "other, shout")
    assert "shout" not in [known.name for known in discover().plugins]


def test_a_plugin_that_is_both_installed_and_given_counts_once(install):
    install("textclf_shout", SHOUT)
    discover()
    assert discover([sys.modules["textclf_shout"]]).find("encoder", "shout").plugin.distribution == "textclf_shout"


def test_the_order_of_plugins_changes_nothing():
    other = plugin("textclf_aaa", textclf_encoders=offering(Component(name="zzz", build=build)))
    assert discover([SAMPLE, other], entry_points=False) == discover([other, SAMPLE], entry_points=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("textclf_encoder", "defines 'textclf_encoder', which is no hook; did you mean 'textclf_encoders'?"),
        ("textclf_on_event", "defines 'textclf_on_event', which is no hook; did you mean 'textclf_event'?"),
        (
            "textclf_zzz",
            "defines 'textclf_zzz', which is no hook (hooks: textclf_datasets, textclf_encoders, textclf_trainers, "
            "textclf_metrics, textclf_outputs, textclf_recipes, textclf_event)",
        ),
    ],
)
def test_a_misspelt_hook_is_found(name, message):
    """P02: a function that looks like a hook and is none."""
    assert reason(**{name: lambda: []}) == message


def test_unknown_arguments_of_a_hook_are_found():
    """P02: said with the argument that was meant."""
    assert reason(textclf_event=lambda evnt: None) == (
        "textclf_event() takes the argument 'evnt', which the hook does not have; did you mean 'event'?"
    )
    assert reason(textclf_encoders=lambda registry: []) == (
        "textclf_encoders() takes the argument 'registry', which the hook does not have (it has none)"
    )
    assert reason(textclf_event=lambda: None) == (
        "textclf_event() does not take the argument 'event' of the hook"
    )

    def by_keyword(*, event: object) -> None: ...

    assert reason(textclf_event=by_keyword) == (
        "textclf_event() takes 'event' as a keyword only, and hooks are called with positions; remove the '*'"
    )


def test_a_decorated_function_of_no_hook_is_found():
    """P02: pluggy's own decorator marks a function of any name."""

    @hookimpl
    def shouted() -> None: ...

    assert "unknown hook 'shouted'" in reason(shouted=shouted)


class Used(Options):
    use: str = Field("", description="taken")


def failing() -> list[object]:
    raise ValueError("no")


def failing_late():
    yield Component(name="one", build=build)
    raise ValueError("later")


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (failing, "textclf_encoders() fails: ValueError: no"),
        (failing_late, "textclf_encoders() fails: ValueError: later"),
        (lambda: None, "textclf_encoders() returns nothing, not a list of components"),
        (lambda: Component(name="x", build=build), "textclf_encoders() returns a Component, not a list of components"),
        (lambda: "words", "textclf_encoders() returns a str, not a list of components"),
        (lambda: [3], "textclf_encoders() returns an int in its list, not a Component"),
        (
            offering(Component(name="../x", build=build)),
            "textclf_encoders() offers a component with the unusable name '../x': "
            "letters, digits, '_' and '-' are allowed",
        ),
        (
            offering(Component(name="x", build=build, options=dict)),
            "textclf_encoders() offers 'x' with options that are not a subclass of textclf.Options",
        ),
        (
            offering(Component(name="x", build=build, options=Used)),
            "textclf_encoders() offers 'x' with an option called 'use', which in a recipe names the component",
        ),
        (
            offering(Component(name="x", build=None)),
            "textclf_encoders() offers 'x' with nothing as build, not a function",
        ),
        (
            offering(Component(name="x", build=build, check=3)),
            "textclf_encoders() offers 'x' with an int as check, not a function",
        ),
        (
            offering(Component(name="x", build=build, traits={"makes": "matrix"})),
            "textclf_encoders() offers 'x' with a dict as traits, not textclf.Traits",
        ),
        (
            offering(Component(name="x", build=build, needs="torch")),
            "textclf_encoders() offers 'x' with a str as needs, not a tuple of module names",
        ),
        (
            offering(Component(name="x", build=build), Component(name="x", build=build)),
            "textclf_encoders() offers 'x' twice",
        ),
    ],
)
def test_a_hook_that_fails_or_answers_nonsense_breaks_its_plugin_alone(hook, message):
    """P04: what a hook returns is looked at before anything uses it."""
    assert placeless(reason(textclf_encoders=hook)) == message


def test_recipes_must_be_a_readable_folder(tmp_path):
    assert reason(textclf_recipes=lambda: "recipes").startswith(
        "textclf_recipes() returns no readable folder: AttributeError: "
    )
    assert reason(textclf_recipes=lambda: tmp_path / "nowhere").startswith(
        "textclf_recipes() returns no readable folder: FileNotFoundError: "
    )


def test_only_yaml_files_are_recipes(tmp_path):
    for name in ("one.yaml", "notes.txt", "two.yml"):
        (tmp_path / name).touch()
    (tmp_path / "folder.yaml").mkdir()
    found = discover([plugin("textclf_odd", textclf_recipes=lambda: tmp_path)], entry_points=False)
    assert list(found.recipes) == ["one"]


def test_an_object_with_methods_is_a_plugin_too():
    class Observer:
        def __init__(self) -> None:
            self.seen: list[Event] = []

        def textclf_event(self, event: Event) -> None:
            self.seen.append(event)

    observer = Observer()
    [(known, function)] = discover([observer], entry_points=False).observers
    function(Event())
    assert (known.module, len(observer.seen)) == ("Observer", 1)


def test_other_names_in_a_plugin_do_not_matter():
    odd = plugin("textclf_odd", textclf_encoders=offering(), build=build, textclf_version="1", Traits=Traits)
    assert not discover([odd], entry_points=False).plugins[0].broken


def test_one_name_offered_twice_names_both(install):
    """P03: with the distributions to choose from."""
    install("textclf_shout", SHOUT)
    rival = plugin("textclf_rival", textclf_encoders=offering(Component(name="shout", build=build)))
    with pytest.raises(PluginError) as caught:
        discover([rival]).find("encoder", "shout")
    assert str(caught.value) == (
        "encoder 'shout' is offered by textclf_rival (no distribution) and textclf_shout (textclf_shout); "
        "rename the one in textclf_rival"
    )
    assert caught.value.exit_code == 5


def test_what_is_not_there_is_explained():
    found = discover([SAMPLE], entry_points=False)
    assert found.missing("trainer", "words") == (
        "no trainer is called 'words'; 'words' is an encoder, not a trainer (installed: bayes, linear, net)"
    )
    assert found.missing("output", "crad") == "no output is called 'crad'; did you mean 'card'? (installed: card)"
    assert Registry().missing("metric", "f1") == "no metric is called 'f1' (installed: none)"


def test_a_broken_plugin_is_known_by_its_names():
    found = discover([plugin("textclf_odd", textclf_encoders=lambda: None)], entry_points=False)
    assert [bool(found.broken_offering(name)) for name in ("odd", "textclf_odd", "even")] == [True, True, False]


class Calls:
    """A plugin whose hook counts how often it is called."""

    def __init__(self, hook: str, answer: Any) -> None:
        self.number, self.module = 0, types.ModuleType("textclf_counting")

        def called() -> Any:
            self.number += 1
            return answer

        setattr(self.module, hook, called)


def asked_once_and_found(hook: str, kind: Kind, make: Any) -> None:
    """Demand that a hook is called at the first look, never again, and that a recipe finds what it offers."""
    traits = TRAITS.get(kind, Traits(tasks=frozenset({"single-label", "multi-label"}), pairs=kind != "dataset"))
    calls = Calls(hook, [Component(name="counted", build=make, traits=traits)])
    made = Engine(plugins=[toy, calls.module], runs="runs", cache="cache")
    assert calls.number == 0
    assert made.registry.find(kind, "counted").plugin.module == "textclf_counting"
    several = {"metric": "metrics", "output": "outputs"}
    step: Any = ["counted"] if kind in several else "counted"
    made.run(recipe(**{several.get(kind, kind): step}))
    assert calls.number == 1


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def offered(hook: Any) -> Any:
    (component,) = hook()
    return lambda options: component.build(component.options())


def test_textclf_datasets():
    asked_once_and_found("textclf_datasets", "dataset", offered(toy.textclf_datasets))


def test_textclf_encoders():
    asked_once_and_found("textclf_encoders", "encoder", offered(toy.textclf_encoders))


def test_textclf_trainers():
    asked_once_and_found("textclf_trainers", "trainer", offered(toy.textclf_trainers))


def test_textclf_metrics():
    asked_once_and_found("textclf_metrics", "metric", offered(toy.textclf_metrics))


def test_textclf_outputs():
    asked_once_and_found("textclf_outputs", "output", offered(toy.textclf_outputs))


def test_textclf_recipes():
    folder = Path("bundled")
    folder.mkdir()
    (folder / "ours.yaml").write_text("version: 1\ndataset: toy_texts\nencoder: toy_words\ntrainer: toy_linear\n")
    (folder / "notes.txt").write_text("no recipe")
    calls = Calls("textclf_recipes", folder)
    made = engine(calls.module)
    assert made.plan("ours", overrides=["metrics=[toy_accuracy]"]).settings.name == "ours"
    ours = [plugin for plugin in made.registry.plugins if plugin.module == "textclf_counting"]
    assert made.registry.recipes_of(ours[0]) == ["ours"]
    assert calls.number == 1


def test_textclf_event():
    seen: list[str] = []
    watching = types.ModuleType("textclf_watching")
    watching.textclf_event = lambda event: seen.append(type(event).__name__)
    engine(watching, cache="cache").run(recipe())
    assert (seen[0], seen[-1]) == ("RunStarted", "RunFinished")
    assert {"StageStarted", "EpochFinished", "StageFinished"} <= set(seen)


TIME = re.compile(r" \(\d+\.\d ms\)$")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    monkeypatch.setenv("TEXTCLF_TRACE", "1")

    def tracing(*plugins: object, entry_points: bool = False) -> list[str]:
        discover(plugins, entry_points=entry_points)
        printed = capsys.readouterr().err.splitlines()
        return [TIME.sub(" (T)", line).removeprefix("textclf: trace: ") for line in printed]

    return tracing


def test_each_hook_is_traced_with_its_plugin_and_what_it_returns(lines, tmp_path):
    (tmp_path / "one.yaml").touch()
    write("mine.py")
    recipes = plugin("textclf_book", textclf_recipes=lambda: tmp_path, textclf_outputs=lambda: [])
    assert lines(recipes, "mine.py") == [
        "plugin mine (mine.py) is imported (T)",
        "textclf_outputs() of plugin textclf_book (passed by a program) returns nothing (T)",
        "textclf_recipes() of plugin textclf_book (passed by a program) returns recipe 'one' (T)",
        "textclf_encoders() of plugin mine (mine.py) returns encoder 'shape' (T)",
    ]
    assert lines(SAMPLE)[0] == (
        "textclf_datasets() of plugin textclf_sample (passed by a program) returns dataset 'rows', dataset 'files' (T)"
    )


def test_installed_blocked_refused_and_broken_plugins_are_traced(lines, install, monkeypatch):
    install("textclf_shout", SHOUT)
    install("textclf_shut", SHOUT)
    install("textclf_late", SHOUT, "textclf-engine>=99")
    install("textclf_torn", "def textclf_encoders(): 1 / 0")
    monkeypatch.setenv("TEXTCLF_BLOCK", "shut")
    traced = [line for line in lines(entry_points=True) if re.search("shout|shut|late|torn", line)]
    assert sorted(traced) == [
        "plugin 'shut' is blocked by TEXTCLF_BLOCK",
        "plugin textclf_late (textclf_late 1.2) needs textclf-engine>=99, and this is 0.2.0; install a version of "
        "'textclf_late' made for it (T)",
        "plugin textclf_shout (textclf_shout 1.2) is imported (T)",
        "plugin textclf_torn (textclf_torn 1.2) is broken: textclf_encoders() fails: ZeroDivisionError: division "
        "by zero (textclf_torn.py:1)",
        "plugin textclf_torn (textclf_torn 1.2) is imported (T)",
        "textclf_encoders() of plugin textclf_shout (textclf_shout 1.2) returns encoder 'shout' (T)",
    ]


def test_a_file_that_is_broken_is_traced(lines):
    write("mine.py", "def textclf_encoders(): 1 / 0")
    broken = "plugin mine (mine.py) is broken: textclf_encoders() fails: ZeroDivisionError: division by zero"
    assert lines("mine.py")[-1] == f"{broken} (mine.py:1)"


def test_events_are_traced_with_the_plugin_that_observes_them_and_stdout_is_left_alone(monkeypatch, capsys):
    monkeypatch.setenv("TEXTCLF_TRACE", "1")

    def textclf_event(event):
        if type(event).__name__ == "StageFinished":
            raise ValueError("enough")

    watcher = plugin("textclf_watch", textclf_event=textclf_event)
    Engine(plugins=[toy, watcher], entry_points=False, cache="cache").run(recipe())
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if "textclf_event(" in line and "watch" in line]
    who = "of plugin textclf_watch (passed by a program)"
    assert printed.out == ""
    assert [TIME.sub(" (T)", line) for line in lines] == [
        f"textclf: trace: textclf_event(RunStarted) {who} returns (T)",
        f"textclf: trace: textclf_event(StageStarted) {who} returns (T)",
        f"textclf: trace: textclf_event(StageFinished) {who} fails: ValueError (T)",
    ]


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_it_nothing_is_written_and_observers_are_called_directly(monkeypatch, capsys, value):
    if value is None:
        monkeypatch.delenv("TEXTCLF_TRACE", raising=False)
    else:
        monkeypatch.setenv("TEXTCLF_TRACE", value)
    assert Engine(plugins=[toy], entry_points=False).registry.registrations
    assert capsys.readouterr().err == ""
