"""Modules that break one clause of plugins each."""

from __future__ import annotations

_OFFERING_NOTHING = "def textclf_encoders():\n    return []\n"
PLUGINS: dict[str, str] = {
    "plugin.loads": "def textclf_encoder():\n    return []\n",
    "plugin.repeats": '''
import itertools
from textclf import Component
numbers = itertools.count()
def textclf_outputs():
    return [Component(name=f"output{next(numbers)}", summary="another each time", build=lambda options: None)]
''',
    "plugin.names": '''
from textclf import Component, hookimpl
def textclf_outputs():
    return [Component(name="one", summary="once", build=lambda options: None)]
@hookimpl(specname="textclf_outputs")
def more():
    return [Component(name="one", summary="and again", build=lambda options: None)]
''',
    "plugin.layouts": '''
from textclf import Component, Traits
from textclf.testing.toy import ToyWords, WordsOptions
def textclf_encoders():
    traits = Traits(makes="count")
    return [Component(name="counted", summary="counts", options=WordsOptions, build=ToyWords, traits=traits)]
''',
    "plugin.light": "import numpy\n" + _OFFERING_NOTHING,
    "plugin.pure": "def textclf_encoders():\n    open('textclf_culprit.txt', 'w').close()\n    return []\n",
    "plugin.still": "import os\nos.environ['TEXTCLF_CULPRIT'] = 'was here'\n" + _OFFERING_NOTHING,
    "plugin.quiet": "print('textclf_culprit is loaded')\n" + _OFFERING_NOTHING,
    "plugin.observer": "def textclf_event(event):\n    return event\n",
    "plugin.files": "def textclf_event(event):\n    open('textclf_culprit.log', 'a').close()\n",
    "plugin.whole": '''
from pathlib import Path
def textclf_event(event):
    if type(event).__name__ == "RunFinished":
        (Path(event.folder) / "metrics.json").write_text("{}")
''',
    "plugin.newer": '''
KNOWN = {"RunStarted", "StageStarted", "Progress", "EpochFinished", "Chosen", "Forecast", "Accounted",
         "CheckpointSaved", "Warned", "StageFinished", "RunFinished", "RunFailed"}
def textclf_event(event):
    KNOWN.remove(type(event).__name__)
    KNOWN.add(type(event).__name__)
''',
}
