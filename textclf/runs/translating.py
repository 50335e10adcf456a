"""Owns the options of a run that is gone on with after its plugins have changed: read as they stand, or migrated."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ArtefactError, PluginError, Problem
from ..model.folder import migrated
from ..plugin.component import Kind
from ..plugin.registry import Offer, Registry
from ..plugin.step import validate
from ..recipe.recipe import Recipe
from . import changes
from .folder import RunFolder

_SINGLE: tuple[Kind, ...] = ("dataset", "encoder", "trainer")
_LISTS: tuple[tuple[Kind, str], ...] = (("metric", "metrics"), ("output", "outputs"))


@dataclass(frozen=True, slots=True)
class _Changed:
    """A step of a run's recipe whose plugin is another edition than the one it began with. step: its mapping."""

    offer: Offer
    edition: str
    step: dict[str, Any]

    @property
    def version(self) -> str:
        """Return the version that the run began with; a file has none."""
        return "" if self.edition.startswith("sha256:") else self.edition

    def options(self) -> dict[str, Any]:
        return {name: value for name, value in self.step.items() if name != "use"}

    def fault(self, problems: list[Problem]) -> str:
        """Say that the installed plugin cannot read the options, and why."""
        plugin = self.offer.plugin
        began, now = changes.shortened(self.edition), changes.shortened(plugin.edition)
        reasons = "; ".join(str(problem) for problem in problems)
        return (
            f"{self.offer.kind} '{self.offer.component.name}' ({plugin}) cannot read the options of the run, which "
            f"began with {began or 'no version'}, and this is {now or 'none'}: {reasons}"
        )


def refuse_unreadable(folder: RunFolder, recipe: Recipe, registry: Registry) -> None:
    """Refuse to go on with a run whose options a plugin that has changed cannot read, and say how to have it again."""
    for changed in _changed(folder, recipe.values, registry):
        _, problems = validate(changed.offer, changed.options())
        if problems:
            again = changes.as_it_was(folder, [changed.offer.plugin])
            raise ArtefactError(
                f"{folder.path} cannot be resumed: {changed.fault(problems)}; {again}run the recipe anew, or resume "
                f"with --allow-changed, which has the plugin translate them"
            )


def in_todays_terms(folder: RunFolder, recipe: Recipe, registry: Registry) -> Recipe:
    """Return a run's recipe with the options of plugins that have changed migrated by them."""
    values = copy.deepcopy(recipe.values)
    for changed in _changed(folder, values, registry):
        options = migrated(changed.offer, changed.version, changed.options())
        _, problems = validate(changed.offer, options)
        if problems:
            again = changes.as_it_was(folder, [changed.offer.plugin])
            until = f"{again}or run the recipe anew" if again else "run the recipe anew"
            way = f"its author can translate them in Options.migrate; until then, {until}"
            raise PluginError(f"{changed.fault(problems)}; {way}")
        use = changed.step["use"]
        changed.step.clear()
        changed.step.update({"use": use, **options})
    return replace(recipe, values=values)


def _changed(folder: RunFolder, values: dict[str, Any], registry: Registry) -> Iterator[_Changed]:
    """Give the steps whose plugin has changed; what cannot be found is for the plan to say."""
    editions = folder.record.get("plugins", {})
    for kind, step in _steps(values):
        if not isinstance(step, dict) or step.get("use") not in registry.names(kind):
            continue
        try:
            offer = registry.find(kind, step["use"])
        except PluginError:
            continue
        edition = editions.get(offer.plugin.module)
        if edition is not None and edition != offer.plugin.edition:
            yield _Changed(offer, edition, step)


def _steps(values: dict[str, Any]) -> Iterator[tuple[Kind, Any]]:
    yield from ((kind, values.get(kind)) for kind in _SINGLE)
    for kind, key in _LISTS:
        several = values.get(key)
        yield from ((kind, step) for step in (several if isinstance(several, list) else ()))
