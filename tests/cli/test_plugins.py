"""`textclf plugins`, `plugins show` and `runs`, and TEXTCLF_BLOCK."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Answer, install
from textclf import Engine, PluginError
from textclf.cli.arguments import complete_recipe, complete_run
from textclf.plugin import hookspecs
from textclf.testing.checks import clauses

Call = Callable[..., Answer]

SHAPE = '''
from textclf import Component, Field, Options, Traits


class ShapeOptions(Options):
    path: str = Field(min_length=1, description="a file")
    size: int = Field(3, ge=1, le=9, description="how many")
    rate: float | None = Field(None, gt=0, description="how fast")
    words: tuple[str, ...] = Field((), description="which words")


def textclf_metrics():
    return [Component(name="odd", summary="", options=ShapeOptions, build=lambda options: print)]
'''


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a plugin with a metric `odd` that has options, and is no metric."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "textclf_odd.py").write_text(SHAPE)
    monkeypatch.syspath_prepend(install(site, odd="textclf_odd"))


@pytest.mark.usefixtures("odd")
def test_a_component_is_shown_with_every_option_and_a_piece_of_a_recipe(call: Call) -> None:
    answer = call("plugins", "show", "odd")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert answer.code == 0
    assert "option type default what it is" in lines
    assert "path text (1 characters or more) required a file" in lines
    assert "size whole number (at least 1, at most 9) 3 how many" in lines
    assert "rate number or null (above 0) null how fast" in lines
    assert "words list of texts [] which words" in lines
    piece = yaml.safe_load(answer.out[answer.out.index("metrics:") :])
    assert piece == {"metrics": [{"use": "odd", "path": "..."}]}


def test_a_plugin_is_shown_with_all_that_it_offers(call: Call) -> None:
    answer = call("plugins", "show", "sklearn")
    assert answer.out.startswith("plugin sklearn: module textclf_sklearn, from textclf-engine ")
    for name in ("encoder 'tfidf'", "trainer 'logistic'", "metric 'accuracy'"):
        assert f"\n{name} of plugin textclf_sklearn: " in answer.out
    assert "\nneeds: sklearn, scipy, numpy (installed)\n" in answer.out


def test_what_is_shown_is_one_document_for_programs(call: Call) -> None:
    about = call("plugins", "show", "bert", "--json").json()
    (component,) = about["components"]
    assert (component["kind"], component["name"], component["traits"]["makes"]) == ("encoder", "bert", "tokens")
    options = {option["name"]: option for option in component["options"]}
    assert options["max_length"]["bounds"] == "at least 8"
    assert options["adapt.mask"]["default"] == "0.15"
    assert yaml.safe_load(component["recipe"]) == {"encoder": {"use": "bert"}}
    assert call("plugins", "show", "sklearn", "--json").json()["plugin"]["module"] == "textclf_sklearn"


STATES = '''
from textclf import Component

BUILT = {"build": print, "summary": "a metric"}


def textclf_metrics():
    return [
        Component(name="found", state=lambda: "two cores", **BUILT),
        Component(name="lost", state=lambda: "never called", needs=("a_library_nobody_has",), **BUILT),
        Component(name="wrong", state=lambda: 1 / 0, **BUILT),
    ]
'''


def test_a_component_is_listed_with_what_it_found_on_this_machine(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "textclf_states.py").write_text(STATES)
    monkeypatch.syspath_prepend(install(site, states="textclf_states"))
    shown = " ".join(call("plugins").out.split())
    assert "metric found ready, two cores" in shown
    assert "metric wrong ready, state() fails" in shown
    assert "\nstate: two cores\n" in call("plugins", "show", "found").out
    listed = {plugin["name"]: plugin["offers"] for plugin in call("plugins", "--json").json()["plugins"]}
    wrong = "state() fails: ZeroDivisionError: division by zero"
    assert [offered["state"] for offered in listed["states"]] == ["two cores", "", wrong]
    assert "kernels" in next(offered["state"] for offered in listed["torch"] if offered["name"] == "torch")


OBSERVER = '''"""Keeps the loss of each epoch.

In a log."""


def textclf_event(event):
    """Log the loss of an epoch."""


def textclf_old_event(event): ...
'''


def test_an_observer_is_shown_with_what_it_sees(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("losses.py").write_text(OBSERVER.partition("def textclf_old")[0])
    asked = ("--plugin", "losses.py", "plugins", "show", "losses")
    answer = call(*asked)
    first, _, observer, sees, events, *_ = answer.out.splitlines()
    assert first == "plugin losses: module losses, from losses.py"
    assert observer == "observer textclf_event (losses.py:6): Log the loss of an epoch."
    assert sees == "it sees every run while the plugin is loaded; no recipe names it"
    assert events.startswith("events: Accounted, CheckpointSaved, Chosen, EpochFinished, ")
    about = call(*asked, "--json").json()
    assert about["components"] == []
    assert about["plugin"]["observers"][0]["function"] == "textclf_event (losses.py:6)"
    assert about["plugin"]["observers"][0]["events"][-1] == "Warned"


def test_a_file_is_shown_with_its_digest_and_what_of_it_is_deprecated(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hookspecs, "DEPRECATED", {"textclf_old_event": ("textclf_event", "0.9")})
    Path("losses.py").write_text(OBSERVER.replace("def textclf_event", "def log"))
    note = "textclf_old_event() is now textclf_event(); the old name goes in textclf-engine 0.9"
    about = call("--plugin", "losses.py", "plugins", "show", "losses", "--json").json()["plugin"]
    assert (about["file"], about["deprecated"]) == ("losses.py", [note])
    assert about["sha256"] == hashlib.sha256(Path("losses.py").read_bytes()).hexdigest()
    assert f"\ndeprecated: {note}\n" in call("--plugin", "losses.py", "plugins", "show", "losses").out
    assert call("plugins", "show", "sklearn", "--json").json()["plugin"]["sha256"] is None


def test_an_unknown_name_is_said_with_the_one_meant(call: Call) -> None:
    for command in ("show", "check"):
        answer = call("plugins", command, "brt")
        words = "textclf: no component or plugin is called 'brt'; did you mean 'bert'?; see 'textclf plugins'\n"
        assert answer == Answer(5, "", words)


def test_a_sound_plugin_is_checked_clause_by_clause(call: Call) -> None:
    answer = call("plugins", "check", "toy")
    assert answer.code == 0, answer.err
    assert "plugin textclf.testing.toy\n  holds     plugin.loads " in answer.out
    assert "\n\nencoder 'toy_words'\n  holds     component.summary " in answer.out
    assert "\n  -         encoder.spans         it does not tell where its features come from\n" in answer.out
    assert answer.out.endswith(", 0 failed\n")


def test_a_plugin_that_is_called_like_its_component_is_checked_whole(call: Call) -> None:
    findings = call("plugins", "check", "reviews", "--json").json()["findings"]
    assert {finding["subject"] for finding in findings} == {"plugin textclf_reviews", "dataset 'reviews'"}


def test_a_component_is_checked_with_the_plugin_that_brings_it_under_another_name(call: Call) -> None:
    findings = call("plugins", "check", "toy_accuracy", "--json").json()["findings"]
    assert [each["subject"] for each in findings[:1]] == ["plugin textclf.testing.toy"]
    assert {each["subject"] for each in findings} == {"plugin textclf.testing.toy", "metric 'toy_accuracy'"}
    assert {each["state"] for each in findings if each["id"] in ("plugin.light", "plugin.still")} == {"passed"}


@pytest.mark.usefixtures("odd")
def test_a_wrong_plugin_gets_what_fails_and_why_that_matters(call: Call) -> None:
    answer = call("plugins", "check", "odd", "--set", "odd.path=here")
    assert answer.code == 5
    assert answer.err == "textclf: 2 clauses of 'odd' do not hold\n"
    failed = [line.split()[1] for line in answer.out.splitlines() if line.startswith("  FAILS")]
    assert failed == ["component.summary", "component.fresh"]
    assert "found: its summary is empty\n" in answer.out
    assert "why: lists and editors show it\n" in answer.out
    assert "\n  not tried metric.range          component.fresh does not hold\n" in answer.out
    found = call("plugins", "check", "odd", "--set", "odd.path=here", "--json").json()
    untried = [finding["id"] for finding in found["findings"] if finding["state"] == "not tried"]
    assert {"metric.range", "work.world"} <= set(untried)
    assert found["not_tried"] == len(untried)
    assert answer.out.splitlines()[-1].endswith(f" did not apply, {len(untried)} not tried, 2 failed")


@pytest.mark.usefixtures("odd")
def test_a_known_fault_is_expected_with_its_reason(call: Call) -> None:
    given = ("plugins", "check", "odd", "--set", "odd.path=here", "--json")
    found = call(*given, "--expect", "component.summary=it says nothing").json()
    states = {finding["id"]: finding["state"] for finding in found["findings"]}
    assert states["component.summary"] == "expected failure"
    assert found["failed"] == call(*given).json()["failed"] - 1
    assert set(states) <= set(clauses())
    wrong = call(*given, "--expect", "component.sumary=why")
    words = "--expect: no clause is called 'component.sumary'; did you mean 'component.summary'?"
    assert (wrong.code, wrong.json()["error"]["message"]) == (2, words)


@pytest.mark.usefixtures("odd")
def test_options_that_a_component_needs_are_asked_for_before_anything_is_tried(call: Call) -> None:
    answer = call("plugins", "check", "odd")
    assert answer.code == 2
    assert re.search(r"odd\.path: is missing; metric 'odd' \(plugin textclf_odd.*\) needs it \(set options", answer.err)
    unknown = call("plugins", "check", "odd", "--set", "ood.path=here")
    assert unknown.code == 2
    assert "--set ood.path=here: ood.path: no component is called 'ood'; did you mean 'odd'?" in unknown.err


def test_a_component_without_its_library_does_not_pass_and_the_command_that_installs_it_is_shown(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    needs = 'build=lambda options: print, needs=("no_such_library",), install="far>=1"'
    Path("mine.py").write_text(SHAPE.replace("build=lambda options: print", needs).replace('""', '"odd"'))
    given = ("--plugin", "mine.py", "plugins", "check", "odd", "--set", "odd.path=here")
    answer = call(*given)
    said = "not tried: metric 'odd' needs no_such_library, which is not installed: pip install 'far>=1'"
    assert (answer.code, answer.err) == (5, f"textclf: {said}\n")
    assert answer.out.splitlines()[-1].endswith(" not tried, 0 failed")
    found = {finding["id"]: finding for finding in call(*given, "--json").json()["findings"]}
    assert found["metric.range"]["state"] == "not tried"
    assert found["metric.range"]["detail"] == "not installed: no_such_library; pip install 'far>=1'"
    Path("mine.py").write_text(SHAPE.replace("build=lambda options: print", needs))
    assert call(*given).err == f"textclf: 1 clause of 'odd' does not hold; {said}\n"


CHECKED = """
from textclf import Component, Field, Options, Problem
from textclf.testing.toy import ToyAccuracy


class Range(Options):
    low: int = Field(2, ge=1, description="the least")
    high: int = Field(4, ge=1, description="the most")


def ordered(options):
    return [Problem("is above high", ("low",))] if options.low > options.high else []


def textclf_metrics():
    about = {"summary": "accuracy", "options": Range, "check": ordered}
    return [Component(name="mine", build=lambda options: ToyAccuracy(), **about)]
"""


def test_options_that_the_component_s_own_check_refuses_are_the_user_s_to_mend(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(CHECKED)
    answer = call("--plugin", "mine.py", "plugins", "check", "mine", "--set", "mine.low=9")
    words = "textclf: mine.low: is above high (set options with --set)\n1 problem; nothing was run\n"
    assert answer == Answer(2, "", words)
    assert call("--plugin", "mine.py", "plugins", "check", "mine", "--set", "mine.low=3").code == 0


def test_a_plan_quotes_what_could_not_be_read_otherwise(call: Call) -> None:
    """A delimiter would be lost among the commas of the line."""
    Path("a.csv").write_text("text,labels\na,x\n", "utf-8")
    Path("files.yaml").write_text(
        "dataset: {use: files, path: a.csv, labels: labels}\nencoder: toy_words\ntrainer: toy_linear\n", "utf-8"
    )
    said = " ".join(call("check", "files.yaml").out.split())
    assert "labels: [labels], labels_delimiter: ',', label_names" in said


def test_plugins_are_listed_with_what_they_offer(call: Call) -> None:
    answer = call("plugins")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert answer.code == 0
    assert lines[0] == "plugin from offers name state what it is"
    reviews = "reviews textclf-engine 0.2.0 dataset reviews ready sentences"
    assert any(line.startswith(reviews) for line in lines)
    assert "recipe reviews_tfidf" in lines


def test_a_component_whose_library_is_absent_is_listed_with_what_it_needs(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    source = "from textclf import Component\ndef textclf_metrics():\n    return [Component(name='far', build=print, "
    source += "needs=('json', 'a_library_nobody_has'))]\ndef textclf_event(event):\n    pass\n"
    (tmp_path / "site" / "textclf_far.py").write_text(source)
    monkeypatch.syspath_prepend(install(tmp_path / "site", far="textclf_far"))
    lines = [" ".join(line.split()) for line in call("plugins").out.splitlines()]
    assert "far far 1.0 metric far needs a_library_nobody_has" in lines
    assert "observer ready" in lines
    (found,) = [plugin for plugin in call("plugins", "--json").json()["plugins"] if plugin["name"] == "far"]
    assert found["offers"][0]["lacking"] == ["a_library_nobody_has"]


def test_a_broken_plugin_is_listed_with_its_reason_and_harms_nothing(
    call: Call, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P01: a package that fails at import beside the others."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "broken_one.py").write_text("import a_library_nobody_has\n")
    monkeypatch.syspath_prepend(install(tmp_path / "site", broken_one="broken_one"))
    answer = call("plugins")
    reason = "fails at import: ModuleNotFoundError: No module named 'a_library_nobody_has' (broken_one.py:1)"
    assert answer.code == 0
    assert f"broken: broken_one (broken_one) {reason}\n" in answer.out
    found = {plugin["name"]: plugin["broken"] for plugin in call("plugins", "--json").json()["plugins"]}
    assert found["broken_one"] == reason
    assert found["toy"] is None
    assert call("check", recipe).code == 0


def test_bundled_recipes_are_listed_with_their_first_sentence(call: Call) -> None:
    rows = call("recipes", "--json").json()["recipes"]
    assert [row["name"] for row in rows] == [
        "imdb_bert", "imdb_bert_adapted", "imdb_glove_bilstm", "imdb_gpt2", "imdb_notebook", "imdb_tfidf",
        "reviews_frozen", "reviews_glove_bilstm", "reviews_glove_cnn", "reviews_glove_mean", "reviews_minilm",
        "reviews_minilm_adapted", "reviews_tfidf",
    ]  # fmt: skip
    assert all(row["summary"] and "$schema" not in row["summary"] for row in rows)
    answer = call("recipes")
    assert answer.out.endswith("run one: textclf run NAME      make it yours: textclf copy NAME\n")


def test_without_runs_the_list_says_how_to_begin(call: Call) -> None:
    assert call("runs").out == "there are no runs in 'runs'; start with: textclf run reviews_tfidf\n"
    assert call("runs", "--json").json() == {"runs": []}


def test_runs_are_listed_and_shown(call: Call, recipe: str) -> None:
    folder = call("run", recipe, "--json").json()["folder"]
    identity = folder.removeprefix("runs/")
    answer = call("runs")
    assert re.search(rf"\n{identity} +finished +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d +toy_accuracy 1\.0000\n", answer.out)
    (info,) = call("runs", "--json").json()["runs"]
    assert (info["name"], info["state"], info["folder"]) == ("toys", "finished", folder)
    assert info["headline"]["toy_accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    shown = call("runs", "show", "toys")
    assert shown.out.endswith(f"\neverything is in {folder}\n")
    assert call("runs", "show", identity, "--json").json()["report"]["name"] == "toys"


def test_a_study_is_shown_as_its_summary(call: Call, recipe: str) -> None:
    folder = call("run", recipe, "--seeds", "2", "--json").json()["folder"]
    answer = call("runs", "show", folder)
    assert answer.code == 0, answer.err
    assert "\ntoys: 2 runs\n" in answer.out


def test_recipes_and_runs_complete(call: Call, recipe: str) -> None:
    assert complete_recipe("reviews_m") == ["reviews_minilm", "reviews_minilm_adapted"]
    assert complete_recipe("to") == ["toys.yaml"]
    folder = json.loads(call("run", recipe, "--json").out)["folder"]
    assert complete_run("") == ["latest", "toys", folder.removeprefix("runs/")]


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda names: monkeypatch.setenv("TEXTCLF_BLOCK", names)


@pytest.mark.parametrize("name", ["sklearn", "textclf_sklearn", "TextCLF-sklearn"])
def test_a_plugin_is_blocked_by_its_name_or_its_modules(call: Call, block: Callable[[str], None], name: str) -> None:
    block(f"other_one, {name},")
    answer = call("plugins", "--json")
    listed = {plugin["name"]: plugin for plugin in answer.json()["plugins"]}
    assert {name for name, plugin in listed.items() if plugin["blocked"]} == {"sklearn"}
    assert (listed["sklearn"]["offers"], listed["sklearn"]["broken"]) == ([], None)
    assert listed["sklearn"]["distribution"] == "textclf-engine"
    assert answer.json()["warnings"] == ["TEXTCLF_BLOCK names 'other_one', and no installed plugin is called so"]


def test_a_distribution_is_blocked_with_all_its_plugins(call: Call, block: Callable[[str], None]) -> None:
    block("textclf_engine")
    kept = [plugin["name"] for plugin in call("plugins", "--json").json()["plugins"] if not plugin["blocked"]]
    assert kept == ["toy"]


def test_the_list_shows_blocked_plugins_and_warns_of_misspelt_names(call: Call, block: Callable[[str], None]) -> None:
    block("sklearn,repport")
    answer = call("plugins")
    [line] = [line for line in answer.out.splitlines() if line.startswith("sklearn")]
    assert line.split() == ["sklearn", "textclf-engine", "0.2.0", "blocked"]
    assert "blocked: sklearn (textclf_sklearn) by TEXTCLF_BLOCK\n" in answer.out
    assert answer.err == (
        "warning: TEXTCLF_BLOCK names 'repport', and no installed plugin is called so; did you mean 'report'?\n"
    )


def test_a_recipe_that_misses_it_says_so(call: Call, block: Callable[[str], None], recipe: str) -> None:
    block("sklearn")
    answer = call("check", recipe, "--set", "encoder=tfidf")
    assert answer.code == 5
    assert "no encoder is called 'tfidf' (installed: " in answer.err
    assert "; blocked by TEXTCLF_BLOCK: sklearn\n" in answer.err
    assert "FILE" not in answer.err
    block("reviews")
    assert call("check", "reviews_tfidf").err.endswith("; blocked by TEXTCLF_BLOCK: reviews\n")


def test_what_is_asked_about_it_is_answered_so(call: Call, block: Callable[[str], None]) -> None:
    block("sklearn")
    for name in ("sklearn", "textclf_sklearn"):
        assert call("plugins", "show", name).err == (
            f"textclf: plugin '{name}' is blocked by TEXTCLF_BLOCK; remove it from there first\n"
        )
    asked = call("plugins", "show", "tfidf").err
    assert asked.endswith("; blocked by TEXTCLF_BLOCK: sklearn; see 'textclf plugins'\n")


def test_a_misspelt_name_is_a_warning_of_checks_and_runs(
    call: Call, block: Callable[[str], None], recipe: str
) -> None:
    block("skleran")
    warning = "TEXTCLF_BLOCK names 'skleran', and no installed plugin is called so; did you mean 'sklearn'?"
    assert call("check", recipe).err == f"warning: {warning}\n"
    assert warning in call("run", recipe, "--json").json()["report"]["warnings"]


def test_a_model_or_a_run_of_it_does_not_ask_to_install_it(
    tmp_path: Path, block: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """C12: a model whose plugin is missing."""
    monkeypatch.chdir(tmp_path)
    folder = Engine().run(recipe).folder
    block("toy")
    with pytest.raises(PluginError) as caught:
        Engine().load(folder)
    assert str(caught.value).endswith(
        "; blocked by TEXTCLF_BLOCK: toy; it was saved by plugin textclf.testing.toy, which is blocked"
    )
    about = json.loads((folder / "record.json").read_text("utf-8"))
    (folder / "record.json").write_text(json.dumps({**about, "state": "interrupted"}), "utf-8")
    with pytest.raises(PluginError) as caught:
        Engine().resume(folder)
    assert str(caught.value) == (
        f"{folder} was made with plugin textclf.testing.toy (1.0); blocked by TEXTCLF_BLOCK: toy"
    )
