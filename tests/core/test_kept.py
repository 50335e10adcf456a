"""Options as recipes and models keep them: defaults that JSON has otherwise, what is computed and what is excluded."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, computed_field, create_model, field_validator

from textclf import Component, Field, Options, Traits
from textclf.model.folder import restored_step
from textclf.testing import check_component

from .sample import SOUND, build, complaints, plan_of, plugin, refusal, registry

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
