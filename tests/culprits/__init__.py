"""Wrong plugins and components, one for each clause of the contracts: the table of clauses and culprits."""

from __future__ import annotations

from .components import COMPONENTS
from .datasets import DATASETS
from .encoders import ENCODERS
from .explaining import EXPLAINING
from .making import Culprit
from .metrics import METRICS
from .outputs import OUTPUTS
from .plugins import PLUGINS
from .tokens import TOKENS
from .trainers import TRAINERS
from .working import WORKING

CULPRITS: dict[str, Culprit] = {
    **COMPONENTS, **WORKING, **DATASETS, **ENCODERS, **TOKENS, **TRAINERS, **EXPLAINING, **METRICS, **OUTPUTS,
}  # fmt: skip
"""Components that break one clause each, by its id."""

MODULES: dict[str, str] = PLUGINS
"""Sources of modules that break one clause of plugins each, by its id."""
