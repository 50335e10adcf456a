"""The kit for plugin authors: contract checks, a context to run components in, and a toy plugin as stand-in."""

from . import toy
from .checks import Case, check_component, check_plugin, contract, require
from .checks.output import finished_run
from .checks.subject import StandIns
from .context import FolderCheckpoints, LocalContext, judge_against
from .contract import Clause, ContractBroken, Finding

__all__ = [
    "Case",
    "Clause",
    "ContractBroken",
    "Finding",
    "FolderCheckpoints",
    "LocalContext",
    "StandIns",
    "check_component",
    "check_plugin",
    "contract",
    "finished_run",
    "judge_against",
    "require",
    "toy",
]
