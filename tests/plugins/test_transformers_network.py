"""How networks are built on pretrained weights, written, and read again."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from textclf_transformers import TransformerOptions, build

from tests.tiny import tiny_bert, tiny_distilbert, tiny_roberta
from textclf import ArtefactError, Labels, Split, Texts
from textclf.testing import LocalContext

LABELS = Labels(("no", "yes"))
WEIGHTS = "model.safetensors"


def encoder_of(folder: Path, **options):
    encoder = build(TransformerOptions(checkpoint=str(folder), **options))
    encoder.fit(Split(Texts(["good"]), np.zeros(1, np.int64)), LocalContext(folder))
    return encoder


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "bert")


@pytest.fixture
def saved(folder: Path, tmp_path: Path) -> Path:
    encoder = encoder_of(folder)
    encoder.save(tmp_path / "saved")
    encoder.save_network(encoder.build_network(LABELS), tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("maker", [tiny_bert, tiny_roberta, tiny_distilbert])
def test_every_parameter_stands_in_one_layer_embeddings_first_and_head_last(maker, tmp_path: Path):
    encoder = encoder_of(maker(tmp_path / "m"))
    network = encoder.build_network(LABELS)
    layers = encoder.layers(network)
    assert sorted(id(p) for group in layers for p in group) == sorted(map(id, network.parameters()))
    names = {id(p): name for name, p in network.named_parameters()}
    assert all("embeddings" in names[id(p)] for p in layers[0])
    assert any(names[id(p)].startswith("classifier") for p in layers[-1])
    assert len(layers) == 4


def test_the_body_is_the_checkpoints_and_the_head_is_drawn_from_torchs_generator(folder: Path):
    encoder = encoder_of(folder)
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        network = encoder.build_network(LABELS)
        assert torch.equal(
            network.state_dict()["bert.pooler.dense.weight"], load_file(folder / WEIGHTS)["pooler.dense.weight"]
        )
        heads.append(network.classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_run_as_checkpoint_gives_its_body_and_not_its_head(saved: Path):
    network = encoder_of(saved).build_network(Labels(("a", "b", "c")))
    assert network.classifier.out_features == 3
    again = encoder_of(saved).build_network(LABELS)
    assert not torch.equal(again.classifier.weight, load_file(saved / WEIGHTS)["classifier.weight"])


def test_attention_dropout_is_off_unless_asked_for(folder: Path):
    config = encoder_of(folder).build_network(LABELS).config
    assert (config.attention_probs_dropout_prob, config.hidden_dropout_prob) == (0.0, 0.1)
    config = encoder_of(folder, attention_dropout=0.1, dropout=0.3).build_network(LABELS).config
    assert (config.attention_probs_dropout_prob, config.hidden_dropout_prob) == (0.1, 0.3)


def test_pickled_weights_are_refused_unread(folder: Path, tmp_path: Path):
    """C03: a pickle where tensors are expected is never opened."""

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtefactError) as error:
        encoder_of(folder).build_network(LABELS)
    assert str(error.value) == (
        f"'{folder}' has its weights only as pytorch_model.bin: pickles can run code and are not read; convert them to "
        "safetensors"
    )
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_under_the_name_of_safetensors_is_refused(saved: Path, tmp_path: Path):
    """C03: the name does not make it tensors."""
    (saved / WEIGHTS).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ArtefactError, match="cannot be read as safetensors"):
        encoder_of(tiny_bert(tmp_path / "other")).load_network(saved, LABELS)


def test_a_body_that_lacks_tensors_is_refused(folder: Path):
    """C06: no part of the body is ever silently initialised."""
    change(folder, lambda tensors: tensors.pop("encoder.layer.1.output.dense.weight"))
    with pytest.raises(ArtefactError) as error:
        encoder_of(folder).build_network(LABELS)
    assert str(error.value) == (
        f"the weights in '{folder}' lack tensors: bert.encoder.layer.1.output.dense.weight"
    )


def test_a_body_with_layers_that_its_configuration_does_not_name_is_refused(folder: Path):
    """C06: extra layers are no longer left out in silence."""
    change(folder, lambda tensors: tensors.update({"encoder.layer.2.output.dense.bias": torch.zeros(32)}))
    with pytest.raises(ArtefactError, match=r"have unknown tensors: encoder.layer.2.output.dense.bias$"):
        encoder_of(folder).build_network(LABELS)


def test_the_head_of_another_task_in_the_checkpoint_is_left_out(folder: Path):
    change(folder, lambda tensors: tensors.update({"cls.predictions.bias": torch.zeros(3)}))
    assert encoder_of(folder).build_network(LABELS).classifier.out_features == 2


def test_a_missing_pooler_is_warned_of(folder: Path):
    change(folder, lambda tensors: [tensors.pop(f"pooler.dense.{part}") for part in ("weight", "bias")])
    context = LocalContext(folder)
    encoder = build(TransformerOptions(checkpoint=str(folder)))
    encoder.fit(Split(Texts(["good"]), np.zeros(1, np.int64)), context)
    encoder.build_network(LABELS)
    assert context.warnings == [f"the weights in '{folder}' have no pooler: it begins untrained, as the head does"]


def test_what_was_saved_is_read_again_to_the_same_bits(saved: Path):
    network = encoder_of(saved).load_network(saved, LABELS)
    assert {k: v.tolist() for k, v in network.state_dict().items()} == {
        k: v.tolist() for k, v in load_file(saved / WEIGHTS).items()
    }


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("classifier.bias"), "lack tensors: classifier.bias"),
        (lambda t: t.update({"bert.stray": torch.zeros(1)}), "have unknown tensors: bert.stray"),
        (lambda t: t.update({"classifier.bias": torch.zeros(3)}), "have misshapen tensors: classifier.bias"),
        (lambda t: t["classifier.bias"].fill_(torch.nan), "are not finite in tensors: classifier.bias"),
    ],
)
def test_a_saved_network_is_read_whole_or_not_at_all(edit, message: str, saved: Path):
    """C06: tensors missing, extra, misshapen or NaN are named."""
    encoder = encoder_of(saved)
    change(saved, edit)
    with pytest.raises(ArtefactError, match=f"^the weights in '{saved}' {message}"):
        encoder.load_network(saved, LABELS)


def test_truncated_weights_are_refused(saved: Path):
    """C06: a torn file is no model."""
    encoder = encoder_of(saved)
    (saved / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes()[:-10])
    with pytest.raises(ArtefactError, match=f"^'{saved / WEIGHTS}' cannot be read as safetensors: "):
        encoder.load_network(saved, LABELS)


@pytest.mark.parametrize(
    "labels", [Labels(("yes", "no")), Labels(("no", "yes", "x")), Labels(("no", "yes"), "multi-label")]
)
def test_labels_that_do_not_fit_the_head_are_refused(labels: Labels, saved: Path):
    """C07: other labels, another order, another task."""
    with pytest.raises(ArtefactError) as error:
        encoder_of(saved).load_network(saved, labels)
    assert str(error.value) == (
        f"the network in '{saved}' decides between no, yes (single_label_classification), not between "
        f"{', '.join(labels.names)} ({labels.task})"
    )


def test_code_that_a_checkpoint_names_is_not_run(folder: Path):
    (folder / "config.json").write_text('{"model_type": "novel", "auto_map": {"AutoConfig": "evil.Config"}}')
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ArtefactError, match=r"^the (configuration|tokenizer) in '.*' cannot be read: "):
        encoder_of(folder)
