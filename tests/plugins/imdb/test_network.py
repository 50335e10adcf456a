"""What only the open internet can show: Google Drive and the Hugging Face hub. Run with `pytest -m network`."""

from __future__ import annotations

import pytest

from textclf import Engine

pytestmark = pytest.mark.network


def test_the_imdb_reviews_still_come_from_google_drive():
    result = Engine().run("imdb_tfidf", overrides=["split.limit=2000"])
    assert sum(result.report.sizes.values()) == 2000
    assert result.report.metrics["accuracy"].value > 0.75


def test_the_reference_recipe_fine_tunes_bert_from_the_hub(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    changes = ["split.limit=200", "trainer.epochs=1", "encoder.max_length=64"]
    result = Engine().run("imdb_bert", overrides=changes)
    assert (result.folder / "model" / "model.safetensors").is_file()
