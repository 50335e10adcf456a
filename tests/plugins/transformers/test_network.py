"""Networks: built on pretrained weights, saved and read again; causal ones read a text at its last token."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from textclf_torch.precision import working_copy
from textclf_transformers import TransformerOptions, build, textclf_encoders
from textclf_transformers.batch import Collator, Template
from textclf_transformers.network import is_causal
from textclf_transformers.options import Gpt2Options
from textclf_transformers.packed import parity
from textclf_transformers.packed.attention import by_length

from tests.tiny import tiny_bert, tiny_distilbert, tiny_gpt2, tiny_mistral, tiny_qwen2, tiny_roberta
from textclf import ArtefactError, Dataset, Engine, Labels, Split, Texts
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


CPU = torch.device("cpu")
END = "<|endoftext|>"
TEXTS = ["the film was very good", "bad", f"a great plot {END} and a fine film{END}", "it was awful", f"not {END}", ""]
CAUSAL = [tiny_gpt2, tiny_qwen2, tiny_mistral]


def fitted(folder: Path, texts: Texts | None = None, **options: Any) -> tuple[Any, LocalContext]:
    context, texts = LocalContext(folder), texts or Texts(TEXTS)
    encoder = build(TransformerOptions(checkpoint=str(folder), **options))
    encoder.fit(Split(texts, np.zeros(len(texts), np.int64)), context)
    return encoder, context


def ready(folder: Path, **options: Any) -> tuple[Any, Any, torch.nn.Module]:
    """Return an encoder, the tokens of the texts sorted by length, and a network whose logits differ by text."""
    encoder, context = fitted(folder, **options)
    tokens = encoder.encode(Texts(TEXTS), context)
    torch.manual_seed(1)
    network = encoder.build_network(LABELS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(10.0 if parameter.ndim > 1 else 1.0)
    return encoder, tokens.take(np.argsort(encoder.lengths(tokens), kind="stable")), network


def logits(encoder: Any, network: torch.nn.Module, tokens: Any, layout: str) -> torch.Tensor:
    return network(**encoder.collate(tokens, np.arange(len(tokens)), layout, CPU)).logits


def test_what_gpt2_has_read_of_a_word_does_not_change_with_the_words_after_it_and_berts_does(tmp_path: Path):
    """The left-to-right limit: only words before count, so a text can be judged at its last token alone."""
    changed = {}
    for maker in (tiny_gpt2, tiny_bert):
        encoder, context = fitted(maker(tmp_path / maker.__name__, ["a good film", "a good plot"]))
        body = encoder.build_network(LABELS).eval().base_model
        tokens = encoder.encode(Texts(["a good film", "a good plot"]), context)
        assert encoder.lengths(tokens)[0] == encoder.lengths(tokens)[1]
        batch = encoder.collate(tokens, np.arange(2), "padded", CPU)
        with torch.no_grad():
            one, other = body(**batch).last_hidden_state
        same = batch["input_ids"][0] == batch["input_ids"][1]
        before = int(same.int().argmin())  # how many tokens stand before the word that differs
        assert before >= 2
        changed[maker.__name__] = float((one[:before] - other[:before]).abs().max())
        assert float((one[before:] - other[before:]).abs().max()) > 1e-3
    # Both texts are rows of the same products, and some kernels add up the last rows in another order. States are of
    # size one, and may be some dozens of roundings of float32 apart, of 1.2e-7 each.
    assert changed["tiny_gpt2"] <= 1e-5
    assert changed["tiny_bert"] > 1e-3


@pytest.mark.parametrize("maker", CAUSAL)
def test_packed_logits_of_a_causal_network_are_padded_logits(maker, tmp_path: Path):
    """T08: neither padding nor the neighbours in a row change a text's scores, nor does an empty text."""
    encoder, tokens, network = ready(maker(tmp_path, TEXTS), max_length=12, truncate="head_tail")
    network.eval()
    assert (encoder.layouts, encoder.unpacked) == (("packed", "padded"), "")
    with torch.no_grad():
        packed, padded = (logits(encoder, network, tokens, layout) for layout in ("packed", "padded"))
        alone = torch.cat([logits(encoder, network, tokens.take(np.array([i])), "padded") for i in range(len(tokens))])
    assert torch.allclose(packed, padded, atol=1e-5)
    assert torch.allclose(alone, padded, atol=1e-5)
    assert float(padded.std(dim=0).max()) > 1e-2


@pytest.mark.parametrize("maker", CAUSAL)
def test_packed_gradients_of_a_causal_network_are_padded_gradients(maker, tmp_path: Path):
    """T07: the layout of a batch changes its gradient by rounding only."""
    encoder, tokens, network = ready(maker(tmp_path, TEXTS), dropout=0.0)
    found = []
    for layout in ("packed", "padded"):
        network.train().zero_grad()
        logits(encoder, network, tokens, layout).pow(2).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert float((found[0] - found[1]).norm() / found[1].norm()) <= 1e-5


@pytest.mark.parametrize("maker", CAUSAL)
@pytest.mark.parametrize("truncate", ["head", "tail"])
def test_transformers_reads_a_saved_causal_network_as_we_do(maker, truncate: str, tmp_path: Path):
    """Texts that name the padding token are read to their end, by transformers in batches as by us."""
    encoder, _, network = ready(maker(tmp_path / "m", TEXTS), max_length=10, truncate=truncate)
    encoder.save(tmp_path / "saved")
    encoder.save_network(network, tmp_path / "saved")
    again = encoder.load_network(tmp_path / "saved", LABELS).eval()
    from transformers import pipeline

    kept = [text for text in TEXTS if text]  # of no token transformers makes an error
    context = LocalContext(tmp_path)
    with torch.no_grad():
        ours = logits(encoder, again, encoder.encode(Texts(kept), context), "padded").softmax(1)
    reader = pipeline("text-classification", model=str(tmp_path / "saved"), top_k=None, device="cpu", batch_size=3)
    theirs = [{each["label"]: each["score"] for each in found} for found in reader(kept, truncation=True)]
    for row, found in zip(ours.tolist(), theirs, strict=True):
        assert row == pytest.approx([found["no"], found["yes"]], abs=1e-5)


def test_a_tokenizer_without_padding_pads_with_its_end_of_text_and_the_configuration_says_so(tmp_path: Path):
    encoder, _, network = ready(tiny_gpt2(tmp_path / "m", TEXTS))
    encoder.save(tmp_path / "saved")
    encoder.save_network(network, tmp_path / "saved")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert (tokenizer.pad_token, tokenizer.padding_side) == (END, "right")
    config = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert (config["pad_token_id"], config["use_cache"]) == (tokenizer.pad_token_id, False)


def test_an_empty_text_is_the_one_token_that_begins_texts(tmp_path: Path):
    encoder, context = fitted(tiny_gpt2(tmp_path, TEXTS))
    tokens = encoder.encode(Texts(["", "good", ""]), context)
    assert tokens.lengths()[0] == 0
    assert encoder.lengths(tokens)[0] == 1
    assert not encoder.cut(tokens).any()
    encoder.build_network(LABELS)
    batch = encoder.collate(tokens, np.arange(3), "packed", CPU)
    begin = encoder._preprocessor.tokenizer.bos_token_id
    lengths = batch["text_lengths"]
    ids = batch["input_ids"][0, : sum(lengths)].tolist()
    assert (ids[0], ids[-1], lengths[0], lengths[2]) == (begin, begin, 1, 1)
    assert batch["text_lasts"].tolist() == [0, lengths[1], lengths[1] + 1]


def test_a_text_that_ends_in_the_padding_token_is_read_before_it_as_transformers_does(tmp_path: Path):
    """Some tokenizers end each text with the token that also pads."""
    folder = tiny_gpt2(tmp_path, TEXTS)
    file = folder / "tokenizer.json"
    told = json.loads(file.read_text("utf-8"))
    told["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END, "type_id": 0}},
                 {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {END: {"id": END, "ids": [0], "tokens": [END]}},
    }  # fmt: skip
    file.write_text(json.dumps(told), "utf-8")
    encoder, tokens, network = ready(folder)
    assert encoder._preprocessor.collator.single == Template(((), (0,)), ((), (0,)), (0,))
    assert encoder._preprocessor.collator.pad_id == 0
    assert encoder.layouts == ("packed", "padded")
    batch = encoder.collate(tokens, np.arange(len(tokens)), "packed", CPU)
    borders, lengths = batch["text_borders"].tolist(), batch["text_lengths"]
    # The empty text, the first, is nothing but the token that ends it.
    wanted = [0, *(border + length - 2 for border, length in zip(borders[1:-1], lengths[1:], strict=True))]
    assert batch["text_lasts"].tolist() == wanted
    network.eval()
    with torch.no_grad():
        one, other = (logits(encoder, network, tokens, layout) for layout in ("packed", "padded"))
    assert torch.allclose(one, other, atol=1e-5)


def test_a_tokenizer_with_nothing_to_pad_with_is_refused(tmp_path: Path):
    folder = tiny_gpt2(tmp_path, TEXTS)
    file = folder / "tokenizer_config.json"
    told = json.loads(file.read_text("utf-8"))
    told |= dict.fromkeys(("bos_token", "eos_token", "unk_token"))
    file.write_text(json.dumps(told), "utf-8")
    with pytest.raises(ArtefactError) as error:
        fitted(folder)
    assert str(error.value) == (
        f"encoder.checkpoint: the tokenizer of '{folder}' has neither a padding token nor one to pad with; set "
        "pad_token in its tokenizer_config.json"
    )


def test_pairs_that_nothing_parts_are_warned_of(tmp_path: Path):
    texts = Texts(["a good film", "bad"], ["a plot", "fine"])
    _, context = fitted(tiny_gpt2(tmp_path / "gpt2"), texts)
    assert context.warnings == [
        f"the tokenizer of '{tmp_path / 'gpt2'}' puts nothing between the two texts of a pair: the network reads them "
        "as one"
    ]
    assert fitted(tiny_bert(tmp_path / "bert", ["a good film bad plot fine"]), texts)[1].warnings == []


@pytest.mark.parametrize(("maker", "embeddings"), [(tiny_gpt2, {"wte", "wpe"}), (tiny_qwen2, {"embed_tokens"})])
def test_the_layers_of_a_causal_network_are_embeddings_first_and_head_last(maker, embeddings: set[str], tmp_path: Path):
    encoder, _, network = ready(maker(tmp_path, TEXTS))
    layers, names = encoder.layers(network), {id(p): name for name, p in network.named_parameters()}
    assert {names[id(p)].split(".")[1] for p in layers[0]} == embeddings
    assert "score.weight" in {names[id(p)] for p in layers[-1]}
    assert sorted(id(p) for group in layers for p in group) == sorted(names)
    assert len(layers) == 4


def test_the_masks_in_published_weights_of_gpt2_are_left_out(tmp_path: Path):
    folder = tiny_gpt2(tmp_path, TEXTS)
    tensors = load_file(folder / "model.safetensors")
    tensors |= {f"h.{i}.attn.bias": torch.ones(1, 1, 64, 64) for i in range(2)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert is_causal(ready(folder)[2])


def test_dropout_of_gpt2_is_set_by_the_options_of_all(tmp_path: Path):
    encoder, _ = fitted(tiny_gpt2(tmp_path, TEXTS))
    config = encoder.build_network(LABELS).config
    assert (config.attn_pdrop, config.resid_pdrop, config.embd_pdrop) == (0.0, 0.1, 0.1)
    config = fitted(tmp_path, attention_dropout=0.1, dropout=0.3)[0].build_network(LABELS).config
    assert (config.attn_pdrop, config.resid_pdrop, config.embd_pdrop) == (0.1, 0.3, 0.3)


@pytest.mark.parametrize("maker", CAUSAL)
def test_a_kernel_that_looks_ahead_is_found_out(maker, tmp_path: Path):
    network = ready(maker(tmp_path, TEXTS))[2]
    template = Template(((), ()), ((), ()), (0,), (0,))
    collator = Collator(template, template, 64, "head", 0, 0, types=False, causal=True)

    def right(query, key, value, lengths, borders, rule):
        return by_length(query, key, value, lengths, rule)

    def ahead(query, key, value, lengths, borders, rule):
        return by_length(query, key, value, lengths, replace(rule, causal=False))

    assert parity.why_padded(network, collator, torch.bfloat16, right) == ""
    why = parity.why_padded(network, collator, torch.bfloat16, ahead)
    assert why.startswith("the results of attention of variable length differ by ")


def test_the_default_of_gpt2_is_pinned_and_it_offers_no_adaptation():
    assert build(Gpt2Options())._checkpoint().revision == "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    assert build(Gpt2Options(checkpoint="openai-community/gpt2-medium"))._checkpoint().revision is None
    (gpt2,) = [component for component in textclf_encoders() if component.name == "gpt2"]
    assert "adapt" not in gpt2.options.model_fields


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_gpt2_learns_what_the_last_word_says_and_its_classifier_comes_back(layout: str, tmp_path: Path, monkeypatch):
    if layout == "padded":
        monkeypatch.setattr("textclf_transformers.packed.forward.PARITY", -1.0)
    truth, begins = np.arange(24) % 2, [("the film", "a plot", "it", "the story of a film")[i // 6] for i in range(24)]
    texts = [f"{begin} was {'very ' * (i % 6 // 2)}{'good' if i % 2 else 'bad'}" for i, begin in enumerate(begins)]
    split = Split(Texts(texts), truth)
    folder = tiny_gpt2(tmp_path / "m", texts)
    recipe = {
        "version": 1, "name": "tiny", "encoder": {"use": "gpt2", "checkpoint": str(folder)}, "metrics": ["accuracy"],
        "trainer": {"use": "torch", "device": "cpu", "epochs": 20, "batch_size": 8, "learning_rate": 3e-3},
    }  # fmt: skip
    done = Engine(runs=tmp_path / "runs").run(recipe, Dataset(LABELS, split, test=split))
    assert done.report.metrics["accuracy"].value == 1.0
    again = Engine(offline=True).load(done.folder)
    assert np.abs(again.scores(texts) - np.load(done.folder / "scores.npy")).max() <= 1e-6
    assert np.isfinite(again.scores([""])).all()


def test_the_working_copy_of_a_causal_network_reads_packed_rows_itself(tmp_path: Path):
    encoder, tokens, network = ready(tiny_gpt2(tmp_path, TEXTS))
    with torch.no_grad():
        found = logits(encoder, network.eval(), tokens, "packed")
        copy = working_copy(network)
        for parameter in network.parameters():
            parameter.zero_()
        half = logits(encoder, copy, tokens, "packed")
    assert half.dtype is torch.bfloat16
    assert float((half.float() - found).abs().max()) <= 0.05 * float(found.abs().max())
