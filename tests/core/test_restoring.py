"""A model and the plugins it was saved with: missing, older, newer, another one, or of a time that told less."""

from __future__ import annotations

import pytest

from textclf import Component, Field, Options, PluginError, Traits
from textclf.model.folder import restored_step
from textclf.plugin.registry import Offer, Plugin, Registry, older, to_install
from textclf.plugin.step import Step

from .places import placeless
from .sample import build

SAVED = {
    "use": "shape", "plugin": "textclf_shape", "version": "1.2", "distribution": "textclf-shape",
    "options": {"size": 3},
}  # fmt: skip


class ShapeOptions(Options):
    size: int = Field(1, ge=1, description="of something")

    @classmethod
    def migrate(cls, version, values):
        if version == "0":
            raise LookupError("no version")
        return None if version == "0.1" else values


def registry(*plugins: Plugin) -> Registry:
    component = Component(name="shape", build=build, options=ShapeOptions, traits=Traits(makes="matrix"))
    return Registry(plugins, [Offer("encoder", component, plugin) for plugin in plugins])


def shape(version: str = "1.2", distribution: str = "textclf-shape", module: str = "textclf_shape") -> Plugin:
    return Plugin("shape", module, distribution, version)


def refused(saved: dict[str, object], *plugins: Plugin) -> str:
    with pytest.raises(PluginError) as caught:
        restored_step("encoder", saved, registry(*plugins))
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_a_step_tells_the_distribution_it_came_from():
    step = restored_step("encoder", SAVED, registry(shape()))
    assert step.to_json() == SAVED
    assert str(step) == "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2)"


def test_a_missing_plugin_is_answered_with_the_command_that_installs_it():
    """C12: the distribution and the version."""
    assert refused(SAVED) == (
        "no encoder is called 'shape' (installed: none); it was saved by plugin textclf_shape of textclf-shape 1.2: "
        "pip install 'textclf-shape>=1.2'"
    )


def test_an_older_plugin_is_refused_with_both_versions():
    """C12: it cannot know what a newer one saved, even where it can read the options."""
    assert refused(SAVED, shape("1.0")) == (
        "encoder 'shape' (plugin textclf_shape of textclf-shape 1.0) has version 1.0, older than 1.2, which saved this "
        "model; pip install 'textclf-shape>=1.2'"
    )


def test_an_older_textclf_is_refused_with_both_versions():
    saved = {**SAVED, "plugin": "textclf_sklearn", "version": "0.9", "distribution": "textclf-engine"}
    assert refused(saved, shape("0.1.0", "textclf-engine", "textclf_sklearn")) == (
        "encoder 'shape' (plugin textclf_sklearn) has version 0.1.0 of textclf-engine, older than 0.9, which saved "
        "this model; pip install 'textclf-engine>=0.9'"
    )


@pytest.mark.parametrize("installed", ["1.2", "1.2.0", "1.10", "2.0rc1", "someday", ""])
def test_a_newer_plugin_reads_what_an_older_one_saved(installed):
    """C12: so does one whose version says nothing."""
    assert restored_step("encoder", SAVED, registry(shape(installed))).options == ShapeOptions(size=3)


def test_another_plugin_that_offers_the_name_is_none_to_read_the_model():
    assert refused(SAVED, shape("7.0", "textclf-form", "textclf_form")) == (
        "encoder 'shape' (plugin textclf_form of textclf-form 7.0) is what is installed, but it was saved by plugin "
        "textclf_shape of textclf-shape 1.2; pip install 'textclf-shape>=1.2', and uninstall the other"
    )


@pytest.mark.parametrize(
    ("saver", "rival", "way"),
    [
        (shape(), Plugin("mine", "mine", file="my/mine.py", sha256="b" * 64),
         "rename that of my/mine.py, or leave my/mine.py out: the model was saved by plugin textclf_shape of "
         "textclf-shape 1.2"),
        (shape(), shape("7.0", "textclf-form", "textclf_form"),
         "uninstall one of them, or keep textclf_form out, TEXTCLF_BLOCK=shape: the model was saved by plugin "
         "textclf_shape of textclf-shape 1.2"),
        (shape(), Plugin("given", "given", sha256="c" * 64),
         "rename that of given, or leave given out: the model was saved by plugin textclf_shape of textclf-shape 1.2"),
        (Plugin("mine", "mine", file="mine.py", sha256="b" * 64), shape(),
         "rename that of mine.py, or keep textclf_shape out, TEXTCLF_BLOCK=shape: the model was saved by plugin "
         "mine.py"),
    ],
)  # fmt: skip
def test_where_the_one_that_saved_a_model_has_a_rival_the_rival_is_what_is_to_go(saver, rival, way):
    """P03: what is there need not be installed."""
    saved = restored_step("encoder", {"use": "shape", "options": {}}, registry(saver)).to_json()
    assert refused(saved, saver, rival).partition("; ")[2] == way


def test_a_rival_of_one_that_is_not_there_leaves_it_to_be_installed():
    both = (shape("7.0", "textclf-form", "textclf_form"), shape("1.0", "textclf-cast", "textclf_cast"))
    assert refused(SAVED, *both).endswith("of textclf-shape 1.2: pip install 'textclf-shape>=1.2'")


def test_a_plugin_may_move_within_its_distribution_or_to_another():
    for moved in (shape(module="textclf_shape.main"), shape(distribution="textclf-forms")):
        assert isinstance(restored_step("encoder", SAVED, registry(moved)), Step)


def test_a_model_of_a_time_that_named_no_distribution_is_read():
    """Format 1 as version 0.1.0 began with it."""
    early = {key: value for key, value in SAVED.items() if key != "distribution"}
    assert isinstance(restored_step("encoder", early, registry(shape("1.0"))), Step)
    assert refused(early).endswith("; it was saved by plugin textclf_shape 1.2: install that plugin")


def test_a_file_that_became_a_package_reads_what_the_file_saved():
    saved = {"use": "shape", "plugin": "textclf_shape", "version": "", "file": "textclf_shape.py", "sha256": "a" * 64}
    assert isinstance(restored_step("encoder", saved, registry(shape())), Step)


def test_a_fault_in_migrating_is_reported_with_the_distribution():
    assert placeless(refused({**SAVED, "version": "0"}, shape())) == (
        "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2): migrate() fails: LookupError: no version; report "
        "it to the authors of textclf-shape, or see `textclf plugins check shape`"
    )


def test_a_migrate_that_returns_nothing_is_told_what_to_return():
    assert placeless(refused({**SAVED, "version": "0.1"}, shape())) == (
        "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2): migrate() returns nothing, not a dict of the "
        "values; report it to the authors of textclf-shape, or see `textclf plugins check shape`"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": 0}, "size: must be at least 1, not 0"),
        (
            {"size": 3, "bits": 8},
            "bits: unknown option of encoder 'shape' (plugin textclf_shape of textclf-shape 1.3) (known: size)",
        ),
    ],
)
def test_options_that_no_migration_translates_are_answered_for_the_author_and_the_user(options, reason):
    """C12: a bound that was narrowed, an option that was removed."""
    whose = "encoder 'shape' (plugin textclf_shape of textclf-shape 1.3) cannot read its saved options "
    way = "its author can translate them in Options.migrate; until then, "
    assert refused({**SAVED, "options": options}, shape("1.3")) == (
        f"{whose}(saved by version 1.2, installed is 1.3): {reason}; {way}pip install 'textclf-shape==1.2'"
    )
    early = {key: value for key, value in SAVED.items() if key != "distribution"}
    assert refused({**early, "options": options}, shape("1.3")) == (
        f"{whose}(saved by version 1.2, installed is 1.3): {reason}; {way}install version 1.2 of it"
    )


def test_a_new_option_that_must_be_said_is_answered_as_one_that_was_removed():
    class Longer(ShapeOptions):
        depth: int = Field(ge=1, description="new, and without a default")

    component = Component(name="shape", build=build, options=Longer, traits=Traits(makes="matrix"))
    with pytest.raises(PluginError) as caught:
        restored_step("encoder", SAVED, Registry([shape()], [Offer("encoder", component, shape())]))
    assert str(caught.value) == (
        "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2) cannot read its saved options (saved by version "
        "1.2, installed is 1.2): depth: is missing; encoder 'shape' (plugin textclf_shape of textclf-shape 1.2) needs "
        "it; its author can translate them in Options.migrate; until then, train again"
    )


def test_versions_are_compared_as_pip_does():
    assert older("1.9", "1.10")
    assert not older("1.10", "1.9")
    assert not older("1.0", "1.0.0")
    assert not older("", "1.0")
    assert not older("1.0", "nightly")
    assert to_install("textclf-shape", "1.2+cpu") == "pip install 'textclf-shape>=1.2'"
    assert to_install("textclf-shape", "1.2+cpu", "==") == "pip install 'textclf-shape==1.2'"
    assert to_install("textclf-shape", "nightly") == "pip install textclf-shape"
