"""What an engine is made with and asked for: whatever is given, it works or is refused in one sentence."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textclf import Engine, RecipeError
from textclf.hooks.hookspecs import hookimpl
from textclf.testing import toy

NO_PLUGIN = "; give a module, an object with hooks such as textclf_encoders(), or the path of a Python file"


class Plain:
    """A class as of an encoder: no plugin."""


class Door:
    """A class whose hook is static, as an entry point may name one."""

    textclf_encoders = staticmethod(toy.textclf_encoders)


class Own:
    """A plugin whose hook hangs on an object, by another name."""

    @hookimpl(specname="textclf_encoders")
    def offered(self) -> Any:
        return toy.textclf_encoders()


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(RecipeError) as raised:
        ask()
    return str(raised.value)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (Plain, "the class 'Plain'"),
        (Plain(), "a Plain"),
        (None, "nothing"),
        (vars(toy), "a dict"),
        (3, "an int"),
        (b"mine.py", "a bytes"),
        (toy.textclf_encoders, "the function 'textclf_encoders'"),
    ],
)
def test_what_has_no_hook_is_no_plugin_and_refused_when_it_is_given(given: Any, found: str) -> None:
    assert refusal(lambda: Engine(plugins=[toy, given])) == f"plugins[1] is {found}, which has no hook{NO_PLUGIN}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mine.py", "plugins is 'mine.py', not a list; give plugins=['mine.py']"),
        (Path("mine.py"), "plugins is 'mine.py', not a list; give plugins=['mine.py']"),
        (toy, "plugins is the module 'textclf.testing.toy', not a list; give plugins=[textclf.testing.toy]"),
        (Door, "plugins is the class 'Door', not a list; give plugins=[Door]"),
        (None, "plugins is nothing, not a list; give plugins=[...]"),
        ({"mine.py": 1}, "plugins is a dict, not a list; give plugins=[...]"),
    ],
)
def test_one_plugin_alone_is_told_to_be_a_list(given: Any, said: str) -> None:
    assert refusal(lambda: Engine(plugins=given)) == said


@pytest.mark.parametrize("given", [Door, Door(), Own(), toy])
def test_whatever_has_a_hook_is_a_plugin(given: Any) -> None:
    for plugins in ([given], (given,), iter([given])):
        assert Engine(plugins=plugins, entry_points=False).registry.names("encoder") == ["toy_words"]


@pytest.mark.parametrize("about", [{}, {"textclf_version": "1.2"}])
def test_a_module_without_a_hook_is_listed_and_said_where_it_is_missed(about: dict[str, str]) -> None:
    hollow = types.ModuleType("hollow")
    vars(hollow).update(about)
    made = Engine(plugins=[toy, hollow], entry_points=False)
    with pytest.raises(RecipeError) as raised:
        made.plan({"dataset": "toy_texts", "encoder": "chars", "trainer": "toy_linear", "metrics": ["toy_accuracy"]})
    assert str(raised.value.problems[0]) == (
        "encoder: no encoder is called 'chars' (installed: toy_words); broken plugins: hollow (has no hook; define "
        "one, such as textclf_encoders())"
    )


def test_an_object_that_cannot_be_looked_at_is_listed() -> None:
    class Shy:
        def __dir__(self) -> Any:
            raise RuntimeError("look away")

    [listed] = Engine(plugins=[Shy()], entry_points=False).registry.plugins
    assert listed.reason == "cannot be looked at: RuntimeError: look away"
