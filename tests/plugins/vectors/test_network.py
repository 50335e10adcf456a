"""Networks over word vectors: packed is unpacked text by text, padding changes nothing, weights are read strictly."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from textclf_vectors import restore
from textclf_vectors.network import Design, Ragged, VectorsNetwork

from tests.plugins.word_vectors import LABELS, MATRIX, TEXTS, WORDS, encoded, encoder
from textclf import ArtefactError, Labels, Texts
from textclf.testing import LocalContext

KINDS = {
    "mean": {"network": "mean"},
    "linear mean": {"network": "mean", "layers": 0},
    "lstm, max": {"network": "lstm"},
    "lstm, mean, two layers": {"network": "lstm", "pooling": "mean", "layers": 2},
    "lstm, attention": {"network": "lstm", "pooling": "attention"},
    "lstm, one way": {"network": "lstm", "bidirectional": False},
    "gru, attention": {"network": "gru", "pooling": "attention", "layers": 2},
    "cnn": {"network": "cnn"},
    "cnn, wide": {"network": "cnn", "widths": (1, 9), "train_vectors": True},
}
RAGGED = ["the film was good", "", "bad", "very very bad , and the plot was not good . " * 7, "a film", "it was n't"]


def _built(folder, kind, **options):
    made = encoder(folder, **{**KINDS[kind], **options})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = made.build_network(LABELS)
    return made, network.eval()


def _lstm(pooling: str, layers: int, *, both: bool = True, kind: str = "lstm") -> VectorsNetwork:
    design = Design(kind, 7, 40, 0, 5, layers, both, pooling, (3,), 2, 0.0, 0.0, True)
    network = VectorsNetwork(design, LABELS)
    torch.nn.init.normal_(network.vectors.words.weight)
    return network.eval()


def _alone(network: VectorsNetwork, ids: torch.Tensor) -> torch.Tensor:
    """Read one text with PyTorch's own recurrent layers, unpacked, and pool its states by the definition."""
    states = network.vectors(ids)[:, None]
    for layer in network.body.stack:
        states = layer(states)[0]
    states = states[:, 0]
    pool = network.body.pool
    if network.design.pooling == "attention":
        weights = torch.softmax(pool.question(torch.tanh(pool.inner(states)))[:, 0], dim=0)
        return network.head(weights @ states)
    return network.head(states.mean(dim=0) if network.design.pooling == "mean" else states.max(dim=0).values)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("both", [True, False], ids=["both ways", "one way"])
@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_packed_sequences_give_what_each_text_gives_alone_and_unpacked(kind, both, pooling):
    torch.manual_seed(11)
    generator = np.random.default_rng(11)
    for layers in (1, 2):
        network = _lstm(pooling, layers, both=both, kind=kind)
        lengths = generator.integers(1, 40, 33)
        ids = torch.from_numpy(generator.integers(0, 43, int(lengths.sum())))
        with torch.inference_mode():
            packed = network(ids, text_lengths=tuple(lengths.tolist()))
            alone = torch.stack([_alone(network, text) for text in ids.split(lengths.tolist())])
        assert (packed - alone).abs().max() <= 1e-6


def test_the_gradient_of_packed_sequences_is_that_of_texts_alone():
    torch.manual_seed(2)
    network = _lstm("max", 1).double()
    lengths, ids = (5, 1, 9, 3), torch.randint(3, 43, (18,))
    sums = []
    for logits in (network(ids, text_lengths=lengths), [_alone(network, text) for text in ids.split(lengths)]):
        network.zero_grad()
        sum(row.square().sum() for row in logits).backward()
        sums.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert len(sums[0]) == len(sums[1]) > 8
    for one, other in zip(*sums, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_layouts_agree_and_neighbours_and_padding_change_nothing(kind, tmp_path):
    made, network = _built(tmp_path, kind)
    tokens, rows = made.encode(Texts(RAGGED), LocalContext(tmp_path)), np.array([3, 0, 1, 5, 2, 4])
    with torch.inference_mode():
        found = [network(**made.collate(tokens, rows, layout, torch.device("cpu"))) for layout in made.layouts]
        alone = torch.cat(
            [network(**made.collate(tokens, rows[i : i + 1], "padded", torch.device("cpu"))) for i in range(6)]
        )
        padded = made.collate(tokens, rows, "padded", torch.device("cpu"))
        wider = network(**{name: torch.nn.functional.pad(t, (0, 5)) for name, t in padded.items()})
    assert found[0].isfinite().all()
    for logits in (*found, wider):
        assert (logits - alone).abs().max() <= 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_texts_without_any_word_and_batches_without_any_text_go_through(kind, tmp_path):
    _, network = _built(tmp_path, kind)
    with torch.inference_mode():
        nothing = network(torch.zeros(2, 3, dtype=torch.long), attention_mask=torch.zeros(2, 3, dtype=torch.long))
        packed = network(torch.zeros(0, dtype=torch.long), text_lengths=(0, 0))
        beside = network(torch.tensor([5, 6]), text_lengths=(0, 2, 0))
        none = network(torch.zeros(0, dtype=torch.long), text_lengths=())
    assert nothing.isfinite().all()
    assert torch.allclose(nothing, packed, atol=1e-6)
    assert torch.allclose(beside[[0, 2]], packed, atol=1e-6)
    assert none.shape == (0, 2)


def test_the_shape_of_ragged_texts_is_what_torch_packs():
    lengths = [2, 0, 4, 1, 4]
    shape = Ragged.of(lengths, torch.device("cpu"))
    texts = [torch.arange(n) + 10 * i for i, n in enumerate(lengths)]
    packed = torch.nn.utils.rnn.pack_sequence([t for t in texts if len(t)], enforce_sorted=False)
    assert torch.cat(texts)[shape.order].tolist() == packed.data.tolist()
    assert shape.batch_sizes.tolist() == packed.batch_sizes.tolist()
    assert shape.spread(torch.cat(texts)[:, None].float() + 1)[..., 0].tolist() == [
        [1, 2, 0, 0], [0, 0, 0, 0], [21, 22, 23, 24], [31, 0, 0, 0], [41, 42, 43, 44]
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_layers_begin_with_the_vectors_end_with_the_head_and_hold_every_parameter_once(kind, tmp_path):
    made, network = _built(tmp_path, kind)
    layers = made.layers(network)
    held = [id(p) for layer in layers for p in layer]
    assert sorted(held) == sorted(id(p) for p in network.parameters())
    assert [id(p) for p in layers[0]] == [id(p) for p in network.get_input_embeddings().parameters()]
    assert id(network.head.weight) in [id(p) for p in layers[-1]]
    assert all(layers)


@pytest.mark.parametrize("trained", [True, False])
def test_vectors_are_the_files_own_and_trained_only_where_that_is_wished(trained, tmp_path):
    made, network = _built(tmp_path, "mean", train_vectors=trained)
    assert (network.vectors(torch.arange(3, 3 + len(WORDS))).detach().numpy() == MATRIX).all()
    assert network.vectors(torch.tensor([1])).detach().numpy()[0] == pytest.approx(MATRIX.mean(axis=0), abs=1e-6)
    batch = made.collate(encoded(made, tmp_path).features, np.arange(4), "packed", torch.device("cpu"))
    network(**batch).sum().backward()
    assert (network.vectors.words.weight.grad is not None) == trained
    assert network.vectors.own.weight.grad is not None


def test_the_same_seed_builds_the_same_network(tmp_path):
    networks = [_built(tmp_path, "lstm, attention")[1] for _ in range(2)]
    for one, other in zip(*(network.state_dict().values() for network in networks), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_network_gives_the_same_logits_and_draws_no_random_number(kind, tmp_path):
    made, network = _built(tmp_path, kind)
    made.save(tmp_path)
    made.save_network(network, tmp_path)
    before = torch.get_rng_state()
    again = restore(made._options, tmp_path)
    loaded = again.load_network(tmp_path, LABELS).eval()
    assert torch.equal(before, torch.get_rng_state())
    tokens = encoded(made, tmp_path).features
    batch = made.collate(tokens, np.arange(len(TEXTS)), "padded", torch.device("cpu"))
    with torch.inference_mode():
        assert torch.equal(network(**batch), loaded(**batch))
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in network.parameters()]


def test_a_loaded_recurrent_layer_reads_the_weights_that_it_shows(tmp_path):
    made, network = _built(tmp_path, "lstm, max")
    made.save_network(network, tmp_path)
    loaded = made.load_network(tmp_path, LABELS).eval()
    batch = made.collate(encoded(made, tmp_path).features, np.arange(4), "packed", torch.device("cpu"))
    with torch.inference_mode():
        before = loaded(**batch)
    with torch.no_grad():
        loaded.body.stack[0].weight_hh_l0.mul_(3)
        assert not torch.equal(loaded(**batch), before)


def _refusal(made, folder, labels=LABELS) -> str:
    with pytest.raises(ArtefactError) as refused:
        restore(made._options, folder).load_network(folder, labels)
    return str(refused.value)


def _change(folder, name, tensor) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name] = tensor
    save_file({key: value for key, value in tensors.items() if value is not None}, file)


def test_weights_that_are_not_whole_are_refused_by_name(tmp_path):
    """C06: tensors that are missing, extra, misshapen or no numbers are named, and nothing is initialised instead."""
    made, network = _built(tmp_path, "gru, attention")
    made.save(tmp_path)
    told = f"the weights in '{tmp_path}'"
    for name, tensor, message in (
        ("head.bias", None, f"{told} lack tensors: head.bias"),
        ("tail.bias", torch.zeros(2), f"{told} have unknown tensors: tail.bias"),
        ("head.bias", torch.zeros(3), f"{told} have misshapen tensors: head.bias ([3], not [2])"),
        ("head.bias", torch.tensor([0.0, float("nan")]), f"{told} are not finite in tensors: head.bias"),
        ("head.bias", torch.zeros(2, dtype=torch.int64), f"{told} are no numbers in tensors: head.bias"),
    ):
        made.save_network(network, tmp_path)
        _change(tmp_path, name, tensor)
        assert _refusal(made, tmp_path) == message
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04]")
    assert _refusal(made, tmp_path).startswith(f"'{tmp_path / 'model.safetensors'}' cannot be read as safetensors: ")
    (tmp_path / "model.safetensors").unlink()
    assert _refusal(made, tmp_path) == f"'{tmp_path}' has no model.safetensors"


def test_a_network_for_other_labels_is_refused(tmp_path):
    """C07: labels that do not fit the head are refused, also where their number is the same."""
    made, network = _built(tmp_path, "mean")
    made.save(tmp_path)
    made.save_network(network, tmp_path)
    told = f"the network in '{tmp_path}' decides between negative, positive (single_label_classification), not between"
    other, several = Labels(("a", "b")), Labels(("negative", "positive"), "multi-label")
    assert _refusal(made, tmp_path, other) == f"{told} a, b (single-label)"
    assert _refusal(made, tmp_path, several) == f"{told} negative, positive (multi-label)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": 10**9}, "the network in '{0}' knows 1000000000 words, and the vocabulary beside it 15"),
        ({"hidden": -1}, "'{0}/config.json' says hidden: -1, of which no network can be made"),
        ({"network": "os"}, "'{0}/config.json' says network: 'os', of which no network can be made"),
        ({"widths": []}, "'{0}/config.json' contradicts itself, so the network cannot be read"),
        ({"strange": 1}, "'{0}/config.json' does not describe its network"),
        ({"hidden": 2**30}, "the weights in '{0}' have misshapen tensors: "),
        (None, "'{0}/config.json' is missing or broken, so the network cannot be read"),
    ],
)
def test_a_configuration_of_which_no_network_can_be_made_is_refused(change, message, tmp_path):
    made, network = _built(tmp_path, "mean")
    made.save(tmp_path)
    made.save_network(network, tmp_path)
    file = tmp_path / "config.json"
    told = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**told, "design": {**told["design"], **change}}) if change else "{}", "utf-8")
    assert _refusal(made, tmp_path).startswith(message.format(tmp_path))
