"""Options that have another name now: read by the old one for a while, and in models and runs for good."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from packaging.version import Version
from pydantic import ValidationError

from tests.sample import build, plugin
from tests.toys import Stopping, engine, recipe
from textclf import Component, Engine, Field, Options, Problem, RecipeError, Stopped, Traits, __version__
from textclf.model.folder import restored_step
from textclf.plugin.component import new_names
from textclf.plugin.discovery import discover
from textclf.plugin.options import read_options
from textclf.recipe.plan import Plan, make_plan
from textclf.recipe.recipe import Source, parse
from textclf.testing.toy import WordsOptions
from textclf.testing.toy import textclf_encoders as toy_encoders

WARNING = "option 'hi' of encoder 'band' is now 'high'; the old name goes in textclf-band 0.3"


class BandOptions(Options):
    renamed: ClassVar = {"hi": ("high", "textclf-band 0.3"), "lo": ("low", "textclf-band 0.3")}

    high: int = Field(9, ge=1, le=50, description="the longest word")
    low: int = Field(1, ge=1, le=50, description="the shortest word")
    sizes: tuple[int, ...] = Field((), description="a tuple, which JSON writes as a list")


class Moved(BandOptions):
    """Options whose values mean something else since version 2."""

    @classmethod
    def migrate(cls, version, values):
        return {**values, "high": values["high"] * 7} if version == "1" else values


def check(options: BandOptions) -> list[Problem]:
    return [Problem("is above 'high'", ("low",))] if options.low > options.high else []


def offered(options: type[Options] = BandOptions):
    band = Component(name="band", options=options, build=build, traits=Traits(makes="counts"), check=check)
    net = Component(name="net", build=build, traits=Traits(reads=frozenset({"counts"})))
    rows = Component(name="rows", build=build)
    metric = Component(name="accuracy", build=build)
    hooks = {"encoders": band, "trainers": net, "datasets": rows, "metrics": metric}
    module = plugin("textclf_band", **{f"textclf_{kind}": lambda one=one: [one] for kind, one in hooks.items()})
    return discover([module], entry_points=False)


def planned(options: str, *flags: str) -> Plan:
    text = f"version: 1\nname: a\ndataset: rows\ntrainer: net\nmetrics: [accuracy]\nencoder:\n  use: band\n{options}"
    return make_plan(parse(Source("a.yaml", text), flags), offered())


def complaint(options: str, *flags: str) -> str:
    with pytest.raises(RecipeError) as caught:
        planned(options, *flags)
    return str(caught.value)


def test_a_recipe_is_read_by_an_old_name_with_one_warning():
    plan = planned("  hi: 7\n")
    assert plan.warnings == (WARNING,)
    assert plan.encoder.options == BandOptions(high=7)
    assert plan.resolved()["encoder"] == {"use": "band", "high": 7, "low": 1, "sizes": []}


def test_a_new_name_warns_of_nothing():
    assert planned("  high: 7\n").warnings == ()


@pytest.mark.parametrize(
    ("written", "flag", "value"),
    [
        ("", "hi=5", 5),
        ("  hi: 7\n", "hi=5", 5),
        ("  high: 7\n", "hi=5", 5),
        ("  hi: 7\n", "high=5", 5),
    ],
    ids=["alone", "old over old", "old over new", "new over old"],
)
def test_a_flag_overrides_the_recipe_by_either_name(written, flag, value):
    plan = planned(written, f"encoder.{flag}")
    assert plan.encoder.options == BandOptions(high=value)
    assert plan.warnings == (WARNING,)


@pytest.mark.parametrize(
    ("written", "flags", "message"),
    [
        (
            "  hi: 7\n  high: 8\n", (),
            "a.yaml:8:3: encoder.hi: option 'hi' of encoder 'band' is now 'high', which is there too; remove one of "
            "them\n    8 |   hi: 7\n      |   ^^",
        ),
        (
            "", ("encoder.hi=5", "encoder.high=6"),
            "--set encoder.hi=5: encoder.hi: option 'hi' of encoder 'band' is now 'high', which is there too; remove "
            "one of them",
        ),
        (
            "  hi: 70\n", (),
            "a.yaml:8:7: encoder.hi: must be at most 50, not 70\n    8 |   hi: 70\n      |       ^^",
        ),
        (
            "  hi: 2\n  lo: 3\n", (),
            "a.yaml:9:7: encoder.lo: is above 'high'\n    9 |   lo: 3\n      |       ^",
        ),
        ("", ("encoder.hi=x",), "--set encoder.hi=x: encoder.hi: must be a whole number, not the text 'x'"),
    ],
    ids=["both in the recipe", "both as flags", "a wrong value", "a problem that check() finds", "a wrong flag"],
)  # fmt: skip
def test_an_error_points_at_the_name_that_the_user_wrote(written, flags, message):
    assert complaint(written, *flags) == f"{message}\n1 problem; nothing was run"


def test_python_reads_an_old_name_with_a_warning_at_the_line_that_uses_it():
    with pytest.warns(DeprecationWarning, match="'hi'") as heard:
        options = BandOptions(hi=7)
    assert options == BandOptions(high=7)
    assert [(str(each.message), Path(each.filename).name) for each in heard] == [
        ("option 'hi' of BandOptions is now 'high'; the old name goes in textclf-band 0.3", Path(__file__).name)
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_refuses_both_names_at_once():
    with pytest.raises(ValidationError, match="hi\n  Extra inputs are not permitted"):
        BandOptions(hi=7, high=8)


def test_json_is_still_read_by_the_rules_of_json():
    """The constructor of `Options` is not called, which would refuse a list for a tuple."""
    assert read_options(BandOptions, {"sizes": [1, 2]}).sizes == (1, 2)


@pytest.mark.parametrize(("options", "high"), [(BandOptions, 7), (Moved, 49)], ids=["as it is", "with a migrate"])
def test_a_saved_model_is_read_by_old_names_without_a_warning(options, high):
    saved = {"use": "band", "plugin": "textclf_band", "version": "1", "options": {"hi": 7, "lo": 2, "sizes": [3]}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step = restored_step("encoder", saved, offered(options))
    assert step.options == options(high=high, low=2, sizes=(3,))


def test_migrate_gives_today_s_names():
    assert BandOptions.migrate("0.1", {"hi": 7, "low": 2}) == {"high": 7, "low": 2}
    assert new_names(BandOptions, {"hi": 7, "high": 8}) == {"hi": 7, "high": 8}


class ShortWords(WordsOptions):
    shortest: int = Field(1, ge=1, le=50, description="the shortest word that counts")


class LongWords(WordsOptions):
    renamed: ClassVar = {"shortest": ("min_length", "textclf-words 2")}

    min_length: int = Field(1, ge=1, le=50, description="the shortest word that counts")


@pytest.mark.parametrize("seeds", [None, [1, 2]], ids=["a run", "a study"])
def test_a_run_is_resumed_by_old_names_without_a_warning(tmp_path, monkeypatch, seeds):
    monkeypatch.chdir(tmp_path)
    [words, *_] = toy_encoders()
    module = plugin("textclf_words", textclf_encoders=lambda: [replace(words, name="longer", options=ShortWords)])
    with pytest.raises(Stopped):
        engine(module, stopping=Stopping(5)).run(recipe(encoder={"use": "longer", "shortest": 2}, seeds=seeds))
    folder = min(Path("runs/toy").iterdir(), key=lambda path: len(path.name))
    module.textclf_encoders = lambda: [replace(words, name="longer", options=LongWords)]
    done = engine(module).resume(folder)
    each = [done] if seeds is None else done.members
    assert [member.report.warnings for member in each] == [()] * len(each)
    assert engine(module).load(each[0].folder).encoder is not None


def test_no_option_is_read_by_its_old_name_past_its_version():
    found = {
        (offer.component.name, old): (new, until, offer.component.options)
        for offer in Engine().registry.registrations
        for old, (new, until) in offer.component.options.renamed.items()
    }
    assert ("tfidf", "ngrams") in found
    for (_, old), (new, until, options) in found.items():
        distribution, version = until.split()
        assert (distribution, new in options.model_fields, old in options.model_fields) == (
            "textclf-engine", True, False,
        )  # fmt: skip
        assert Version(__version__) < Version(version)
