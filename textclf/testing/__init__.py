"""What plugin authors test with: contract checks, a context to run components in, and a toy plugin as stand-in."""

from . import toy
from .checks import check_component, check_plugin, require
from .checks.subject import StandIns
from .clauses import Clause, ContractBroken, Finding
from .context import FolderCheckpoints, LocalContext, judge_against

__all__ = [
    "Clause",
    "ContractBroken",
    "Finding",
    "FolderCheckpoints",
    "LocalContext",
    "StandIns",
    "check_component",
    "check_plugin",
    "judge_against",
    "require",
    "toy",
]
