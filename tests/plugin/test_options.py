"""Options as JSON, and messages about wrong ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import SecretStr, computed_field, create_model, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tests.places import placeless
from tests.sample import SOUND, build, complaints, plan_of, plugin, refusal, registry
from textclf import Component, Field, Options, Traits
from textclf.model.folder import restored_step
from textclf.testing import check_component

DESCRIBED = {"description": "an option"}


def offering(options: type[Options]) -> object:
    component = Component(name="mine", build=build, options=options, traits=Traits(makes="matrix"), summary="mine")
    return plugin("textclf_mine", textclf_encoders=lambda: [component])


def read(options: type[Options], **values: Any) -> Any:
    return plan_of({**SOUND, "encoder": {"use": "mine", **values}}, offering(options)).encoder


def read_back(options: type[Options], **values: Any) -> Any:
    saved = read(options, **values).to_json()
    return restored_step("encoder", saved, registry(offering(options))).options


def failing(options: type[Options]) -> dict[str, str]:
    component = Component(name="mine", build=build, options=options, traits=Traits(makes="matrix"), summary="mine")
    found = check_component(component, "encoder")
    return {one.clause.id: one.detail for one in found if one.state == "failed" and "options" in one.clause.id}


@pytest.mark.parametrize(
    ("kind", "default", "taken"),
    [
        (Path, Path("a"), Path("a")),
        (Path | None, Path("a"), Path("a")),
        (tuple[Path, ...], (Path("a"),), (Path("a"),)),
        (Mapping[str, Path], {"a": Path("b")}, {"a": Path("b")}),
        (IPv4Address, IPv4Address("10.0.0.1"), IPv4Address("10.0.0.1")),
        (Sequence[str], ("a",), ["a"]),
        (tuple[str, ...], ["a"], ("a",)),
        (frozenset[str], {"a"}, frozenset({"a"})),
        (deque[str], deque(["a"]), deque(["a"])),
    ],
    ids=str,
)
def test_a_default_of_its_options_own_type_is_taken_and_read_back_though_json_has_it_otherwise(kind, default, taken):
    options = create_model("Typed", __base__=Options, value=(kind, Field(default, **DESCRIBED)))
    assert read(options).options.value == taken
    assert read_back(options) == read(options).options
    assert failing(options) == {}


class Inner(Options):
    path: Path = Field(Path("inner"), **DESCRIBED)


class Odd(Options):
    """Has defaults that JSON has otherwise, at every place."""

    path_: Path = Field(Path("a"), alias="path", **DESCRIBED)
    made: Path = Field(default_factory=lambda: Path("made"), **DESCRIBED)
    inner: Inner | None = Field(None, **DESCRIBED)
    many: tuple[Inner, ...] = Field((), **DESCRIBED)

    @field_validator("path_")
    @classmethod
    def _whole(cls, value: Path) -> Path:
        return Path("/") / value


def test_such_a_default_is_taken_by_an_alias_from_a_factory_and_inside_of_options_and_its_validator_sees_it():
    found = read(Odd, inner={}, many=[{}, {"path": "b"}]).options
    assert (found.path_, found.made) == (Path("/a"), Path("made"))
    assert [found.inner.path, *(one.path for one in found.many)] == [Path("inner"), Path("inner"), Path("b")]


def test_such_a_default_is_no_complaint_beside_what_the_user_did_wrong():
    assert complaints({**SOUND, "encoder": {"use": "mine", "made": 3}}, offering(Odd)) == [
        "encoder.made: must be text, not 3"
    ]


@pytest.mark.parametrize(
    ("kind", "default", "said"),
    [
        (Sequence[str], ("a",), "must have at least 2 entries, not 1"),
        (tuple[Path, ...], (Path("a"),), "must have at least 2 entries, not 1"),
    ],
    ids=str,
)
def test_such_a_default_is_held_against_its_bounds(kind, default, said):
    options = create_model("Bounded", __base__=Options, value=(kind, Field(default, min_length=2, **DESCRIBED)))
    (problem,) = refusal({**SOUND, "encoder": "mine"}, offering(options)).problems
    owner = "encoder 'mine' (plugin textclf_mine)"
    about, _, _ = str(problem).partition("; see ")
    assert about == f"encoder.value: its default in {owner} is not what it takes: {said}; give it another value"
    assert failing(options) == {"options.defaults": f"value: {said}"}


def test_a_default_that_json_cannot_hold_is_refused_with_that_reason():
    class Secretive(Options):
        token: SecretStr = Field(SecretStr("xyz"), **DESCRIBED)

    said = "JSON, in which recipes and models keep it, cannot hold it"
    assert failing(Secretive) == {"options.defaults": f"token: {said}"}
    (problem,) = refusal({**SOUND, "encoder": "mine"}, offering(Secretive)).problems
    assert f"is not what it takes: {said}; give it another value" in str(problem)


class Computing(Options):
    """Has an option that is computed of another, and one that is excluded from dumps."""

    size: int = Field(3, ge=1, le=9, **DESCRIBED)
    workers_: int = Field(1, ge=1, le=9, exclude=True, alias="workers", **DESCRIBED)
    folder: Path = Field(Path("a"), exclude=True, **DESCRIBED)

    @computed_field
    @property
    def twice(self) -> int:
        return 2 * self.size


def test_what_is_computed_is_not_kept_and_what_is_excluded_is():
    kept = {"size": 4, "workers": 2, "folder": "b"}
    assert read(Computing, **kept).to_json()["options"] == kept
    assert read(Computing, **kept).to_recipe() == {"use": "mine", **kept}
    again = read_back(Computing, **kept)
    assert (again.size, again.twice, again.workers_, again.folder) == (4, 8, 2, Path("b"))
    assert failing(Computing) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: must be at least 1, not 0"),
        ({"epochs": 1000}, "epochs: must be at most 100, not 1000"),
        ({"epochs": True}, "epochs: must be a whole number, not true"),
        ({"epochs": None}, "epochs: must be a whole number, not null"),
        ({"epochs": 2.0}, "epochs: must be a whole number, not 2.0"),
        ({"learning_rate": "2e-5"}, "learning_rate: must be a number, not the text '2e-5'; write 2e-5 without quotes"),
        ({"learning_rate": 0}, "learning_rate: must be greater than 0, not 0"),
        ({"shuffle": "no"}, "shuffle: must be true or false, not the text 'no'; write false"),
        ({"shuffle": 1}, "shuffle: must be true or false, not 1"),
        (
            {"schedule": "liner"},
            "schedule: must be 'linear', 'cosine' or 'constant', not the text 'liner'; did you mean 'linear'?",
        ),
        ({"layers": 3}, "layers: must be a list, not 3"),
        ({"layers": [{"width": 0}]}, "layers.0.width: must be at least 1, not 0"),
        (
            {"layers": [{}, {"widht": 1}]},
            "layers.1.widht: unknown option of 'layers.1' of trainer 'net' (plugin textclf_sample); "
            "did you mean 'width'?",
        ),
        ({"device": ""}, "device: must not be empty"),
        ({"device": 3}, "device: must be text, not 3"),
        (
            {"zzz": 3},
            "zzz: unknown option of trainer 'net' (plugin textclf_sample) "
            "(known: batch_size, device, epochs, layers, learning_rate, schedule, shuffle)",
        ),
    ],
)
def test_a_wrong_option_is_explained_in_plain_words(options, message):
    """R01, R08: unknown options, bounds, and values of another type."""
    assert complaints({**SOUND, "encoder": "bert", "trainer": {"use": "net", **options}}) == [f"trainer.{message}"]


def test_options_of_a_component_without_any_are_unknown():
    assert complaints({**SOUND, "trainer": {"use": "linear", "c": 1}}) == [
        "trainer.c: unknown option of trainer 'linear' (plugin textclf_sample); it has none"
    ]


def test_a_missing_option_names_who_needs_it():
    assert complaints({**SOUND, "dataset": "files"}) == [
        "dataset.path: is missing; dataset 'files' (plugin textclf_sample) needs it"
    ]


class Deep(Options):
    width: int = Field(0, ge=1, description="units")


class Careless(Options):
    """Options with defaults that they do not take."""

    size: int = Field(0, ge=1, description="out of bounds")
    word: int = Field("3", ge=1, description="of another type")
    rate: float = Field(float("inf"), gt=0, description="of no end")
    way: Literal["linear", "cosine"] = Field("liner", description="none of the choices")
    copy_: int = Field(None, ge=1, alias="copy", description="by another name in recipes")
    deep: Deep | None = Field(None, description="with a default inside")


FAULTS = {
    "size": "must be at least 1, not 0",
    "word": "must be a whole number, not the text '3'",
    "rate": "must be a finite number, not inf",
    "way": "must be 'linear' or 'cosine', not the text 'liner'",
    "copy": "must be a whole number, not null",
}
TAKEN = {"size": 1, "word": 1, "rate": 1.5, "way": "linear", "copy": 1}


def careless() -> object:
    component = Component(name="careless", build=build, options=Careless, traits=Traits(makes="matrix"))
    return plugin("textclf_careless", textclf_encoders=lambda: [component])


def of_default(option: str, fault: str) -> str:
    owner = "encoder 'careless' (plugin textclf_careless)"
    return f"encoder.{option}: its default in {owner} is not what it takes: {fault}; give it another value"


@pytest.mark.parametrize("option", FAULTS)
def test_a_default_that_its_own_option_refuses_is_the_plugins_fault_and_named(option):
    """P04: the user, who said nothing of it, is told which option to say something of."""
    said = {key: value for key, value in TAKEN.items() if key != option}
    error = refusal({**SOUND, "encoder": {"use": "careless", **said}}, careless())
    assert error.exit_code == 5
    assert [str(problem).partition("; see ")[0] for problem in error.problems] == [of_default(option, FAULTS[option])]
    assert plan_of({**SOUND, "encoder": {"use": "careless", **TAKEN}}, careless())


def test_wrong_defaults_are_said_beside_what_the_user_did_wrong():
    values = {**SOUND, "encoder": {"use": "careless", **TAKEN, "size": 0, "deep": {}}}
    error = refusal(values, careless())
    assert error.exit_code == 2
    assert [str(problem) for problem in error.problems] == [
        "encoder.size: must be at least 1, not 0", of_default("deep.width", "must be at least 1, not 0"),
    ]  # fmt: skip


def test_a_default_that_a_validator_of_the_plugins_own_refuses_is_asked_for():
    class Asking(Options):
        word: str = Field("", description="a word")

        @field_validator("word")
        @classmethod
        def _said(cls, value: str) -> str:
            if not value:
                raise ValueError("name one")
            return value

    component = Component(name="asking", build=build, options=Asking, traits=Traits(makes="matrix"))
    offered = plugin("textclf_asking", textclf_encoders=lambda: [component])
    assert complaints({**SOUND, "encoder": "asking"}, offered) == ["encoder.word: name one"]
    findings = {found.clause.id: found for found in check_component(component, "encoder")}
    assert findings["options.defaults"].state == "passed"
    assert findings["options.read"].detail == "word: Value error, name one"


def test_several_branches_of_an_option_make_one_message():
    class Several(Options):
        words: tuple[str, ...] | str | None = Field(None, description="one or more")
        share: float | int | None = Field(None, ge=0, description="a number")

    component = Component(name="several", build=build, options=Several, traits=Traits(makes="matrix"))
    offered = plugin("textclf_several", textclf_encoders=lambda: [component])
    found = complaints({**SOUND, "encoder": {"use": "several", "words": [1], "share": "x"}}, offered)
    assert found == [
        "encoder.words.0: must be text, not 1",
        "encoder.share: must be a number or a whole number, not the text 'x'",
    ]
    assert complaints({**SOUND, "encoder": {"use": "several", "words": {"a": 1}}}, offered) == [
        "encoder.words: must be a list or text, not a mapping"
    ]


@pytest.mark.parametrize(
    "name",
    ["greater_than", "too_long", "literal_error", "enum", "int_type", "missing", "extra_forbidden", "string_too_short"],
)
def test_an_error_that_a_validator_calls_by_a_name_of_pydantics_is_told_in_its_authors_words(name):
    class Own(Options):
        size: int = Field(1, ge=0, description="how many")

        @field_validator("size")
        @classmethod
        def _odd(cls, value: int) -> int:
            if value == 4:
                raise PydanticCustomError(name, "four is even")
            return value

    component = Component(name="own", build=build, options=Own, traits=Traits(makes="matrix"))
    offered = plugin("textclf_own", textclf_encoders=lambda: [component])
    assert complaints({**SOUND, "encoder": {"use": "own", "size": 4}}, offered) == ["encoder.size: four is even"]


def test_a_validator_of_the_plugins_own_speaks_for_itself():
    class Own(Options):
        pattern: str = Field("", description="a regular expression")
        low: int = Field(0, description="least")
        high: int = Field(1, description="most")

        @field_validator("pattern")
        @classmethod
        def _closed(cls, value: str) -> str:
            if "(" in value:
                raise ValueError("the parenthesis is not closed")
            return value

        @model_validator(mode="after")
        def _ordered(self):
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

        @field_validator("high")
        @classmethod
        def _fails(cls, value: int) -> int:
            return 1 // (value - 7)

    component = Component(name="own", build=build, options=Own, traits=Traits(makes="matrix"))
    offered = plugin("textclf_own", textclf_encoders=lambda: [component])
    assert complaints({**SOUND, "encoder": {"use": "own", "pattern": "("}}, offered) == [
        "encoder.pattern: the parenthesis is not closed"
    ]
    assert complaints({**SOUND, "encoder": {"use": "own", "low": 3}}, offered) == ["encoder: low is above high"]
    error = refusal({**SOUND, "encoder": {"use": "own", "high": 7}}, offered)
    assert error.exit_code == 5
    assert [placeless(str(problem)) for problem in error.problems] == [
        "encoder: the options of encoder 'own' (plugin textclf_own) cannot be checked: "
        "ZeroDivisionError: integer division or modulo by zero"
    ]
