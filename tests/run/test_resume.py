"""A run that is gone on with after its plugin was updated: what the new version cannot read, and what it translates."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.toys import Stopping, engine, recipe
from textclf import ArtefactError, PluginError, Stopped

SOURCE = """
from dataclasses import replace
from pathlib import Path

from textclf import Field, Options
from textclf.testing.toy import textclf_encoders as offered
from textclf.testing.toy import ToyWords, WordsOptions, restore_words


class BandOptions(WordsOptions):
    {name}: int = Field(9, ge=1, le=50, description="the longest word that counts")
{migrate}

def textclf_encoders():
    return [replace(offered()[0], name="band", options=BandOptions)]
"""
RENAMED = """
    @classmethod
    def migrate(cls, version, values):
        assert version in ("0.1.0", "0.2.0")
        return {"high" if name == "hi" else name: value for name, value in values.items()}
"""
FAILING = """
    @classmethod
    def migrate(cls, version, values):
        raise LookupError(version)
"""
UNKNOWN = "hi: unknown option of encoder 'band' (plugin textclf_band of textclf-band 0.2.0); did you mean 'high'?"
CANNOT = (
    "encoder 'band' (plugin textclf_band of textclf-band 0.2.0) cannot read the options of the run, which began with "
    f"0.1.0, and this is 0.2.0: {UNKNOWN}"
)


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    """Give a folder that packages are found in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    yield folder
    sys.modules.pop("textclf_band", None)


def install(site: Path, version: str, name: str, migrate: str = "") -> None:
    """Put a version of the package there in place of any other, as pip does."""
    (site / "textclf_band.py").write_text(SOURCE.format(name=name, migrate=migrate), "utf-8")
    about = site / "textclf_band.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: textclf-band\nVersion: {version}\n", "utf-8")
    (about / "entry_points.txt").write_text("[textclf]\nband = textclf_band\n", "utf-8")
    sys.modules.pop("textclf_band", None)
    # What Python has compiled is told apart by whole seconds.
    for compiled in site.glob("__pycache__/*"):
        compiled.unlink()
    importlib.invalidate_caches()


def begun(site: Path, **changes) -> Path:
    """Begin a run with version 0.1.0, which is stopped, and return its folder."""
    install(site, "0.1.0", "hi")
    with pytest.raises(Stopped):
        engine(stopping=Stopping(5)).run(recipe(encoder={"use": "band", "hi": 7}, **changes))
    # The folder of a study is called as those of its members begin.
    return min(Path("runs/toy").iterdir(), key=lambda path: len(path.name))


@pytest.mark.parametrize(
    ("name", "migrate", "why", "more"),
    [
        ("high", RENAMED, CANNOT, ", which has the plugin translate them"),
        ("hi", "", "textclf_band was 0.1.0 and is 0.2.0", ""),
    ],
    ids=["cannot_read", "reads"],
)
def test_another_version_is_named_with_what_to_install_whether_it_reads_the_options(site, name, migrate, why, more):
    folder = begun(site)
    install(site, "0.2.0", name, migrate)
    with pytest.raises(ArtefactError) as caught:
        engine().resume(folder)
    what = "cannot be resumed" + ("" if more else " to the same result")
    assert str(caught.value) == (
        f"{folder} {what}: {why}; pip install 'textclf-band==0.1.0', run the recipe again, or resume with "
        f"--allow-changed{more}"
    )


def test_a_run_that_is_allowed_to_change_has_its_options_translated(site):
    folder = begun(site)
    install(site, "0.2.0", "high", RENAMED)
    done = engine().resume(folder, allow_changed=True)
    assert done.folder == folder
    saved = json.loads((folder / "model" / "textclf.json").read_text("utf-8"))["components"]["encoder"]
    assert (saved["version"], saved["options"]["high"], "hi" in saved["options"]) == ("0.2.0", 7, False)


def test_a_study_that_is_allowed_to_change_has_its_options_translated(site):
    folder = begun(site, seeds=[1, 2])
    install(site, "0.2.0", "high", RENAMED)
    done = engine().resume(folder, allow_changed=True)
    assert [member.trained is None for member in done.members] == [False, False]
    assert [member.report.warnings for member in done.members] == [(), ()]


def test_a_version_that_does_not_translate_them_says_whose_part_that_is(site):
    folder = begun(site)
    install(site, "0.2.0", "high")
    with pytest.raises(PluginError) as caught:
        engine().resume(folder, allow_changed=True)
    assert str(caught.value) == (
        f"{CANNOT}; its author can translate them in Options.migrate; until then, pip install 'textclf-band==0.1.0', "
        "or run the recipe again"
    )


def test_a_migrate_that_fails_is_the_plugins_fault(site):
    folder = begun(site)
    install(site, "0.2.0", "high", FAILING)
    with pytest.raises(PluginError) as caught:
        engine().resume(folder, allow_changed=True)
    assert str(caught.value) == (
        "encoder 'band' (plugin textclf_band of textclf-band 0.2.0): migrate() fails: LookupError: 0.1.0; "
        "report it to the authors of textclf-band, or see `textclf plugins check band`"
    )
