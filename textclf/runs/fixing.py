"""Owns how what a run chose becomes part of its recipe, so that the recipe chooses the same on another day."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..files import digest, write_text
from ..plugin.options import options_as_json
from ..plugin.step import validate
from ..recipe.plan import Plan
from ..recipe.yaml12 import write
from .folder import RECIPE, RunFolder


def fix(folder: RunFolder, plan: Plan, warn: Callable[[str], None]) -> Plan:
    """Return the plan with the options that fix the run's choices, and write it into the run's recipe.

    The record tells of both recipes before the new one is written: a run that is killed in between can be resumed.
    """
    fixed = with_options(plan, folder.fixing(), warn)
    text = write(fixed.resolved())
    if text != write(plan.resolved()):
        new = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        folder.update(recipe_sha256=new, recipe_asked_sha256=digest(folder.path / RECIPE))
        write_text(folder.path / RECIPE, text)
    return fixed


def with_options(plan: Plan, options: Mapping[str, Any], warn: Callable[[str], None]) -> Plan:
    """Return the plan with some options of its steps changed, {"trainer.precision": "bf16"}.

    One that a step does not know or take costs a warning, and not the run that came so far.
    """
    for place, value in options.items():
        kind, _, name = place.partition(".")
        step = {"dataset": plan.dataset, "encoder": plan.encoder, "trainer": plan.trainer}.get(kind)
        told = {} if step is None else options_as_json(step.options)
        if step is None or name not in told:
            warn(f"a choice names the option '{place}', which the recipe does not have; it is left out of the recipe")
            continue
        taken, problems = validate(step.offer, {**told, name: value})
        if taken is None:
            warn(f"a choice cannot be written into the recipe: {'; '.join(str(p.under(kind)) for p in problems)}")
            continue
        plan = replace(plan, **{kind: replace(step, options=taken)})  # type: ignore[arg-type]
    return plan
