"""Finding recipes, and reading them."""

from __future__ import annotations

import os
import types
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sample import SOUND, plugin, registry
from textclf import PluginError, Recipe, RecipeError
from textclf.recipe.recipe import Source, locate, parse
from textclf.recipe.yaml12 import load, write

TEXT = """\
version: 1
name: mine
dataset: rows
encoder: words
trainer:
  use: linear
metrics: [accuracy]
"""


def lines(recipe: Recipe) -> list[str]:
    return [str(problem).splitlines()[0] for problem in recipe.problems]


def read(text: str, *overrides: str) -> Recipe:
    return parse(Source("r.yaml", text), overrides)


@pytest.fixture
def bundle(tmp_path: Path) -> types.ModuleType:
    """A plugin that offers two recipes in a folder of its own."""
    folder = tmp_path / "offered"
    folder.mkdir()
    for stem in ("imdb_bert", "reviews"):
        (folder / f"{stem}.yaml").write_text(f"name: {stem}\n")
    return plugin("textclf_bundle", textclf_recipes=lambda: folder)


def test_an_existing_file_comes_first(bundle):
    Path("reviews").write_text("name: own\n")
    assert locate("reviews", registry(bundle)) == Source("reviews", b"name: own\n")
    assert locate(Path("reviews").absolute(), registry(bundle)).text == b"name: own\n"


@pytest.mark.parametrize("reference", ["reviews", "reviews.yaml", "recipes/reviews.yaml", Path("recipes/reviews.yaml")])
def test_a_bundled_recipe_answers_to_three_spellings(bundle, reference):
    assert locate(reference, registry(bundle)) == Source("recipes/reviews.yaml", b"name: reviews\n")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("recipes/reviews", "recipes/reviews: no such file; did you mean the bundled recipe 'reviews'?"),
        ("other/reviews.yaml", "other/reviews.yaml: no such file; did you mean the bundled recipe 'reviews'?"),
        ("imdb_brt", "imdb_brt: no such file; did you mean the bundled recipe 'imdb_bert'?"),
        ("zzz.yaml", "zzz.yaml: no such file"),
        ("reviews/x.yaml", "reviews/x.yaml: no such file"),
    ],
)
def test_what_is_not_there_is_refused_with_a_suggestion(bundle, reference, message):
    """R12: a missing recipe; a bundled one answers to its stem only."""
    with pytest.raises(RecipeError) as caught:
        locate(reference, registry(bundle))
    assert str(caught.value) == f"{message} (bundled recipes: imdb_bert, reviews)"
    assert caught.value.exit_code == 2


def test_a_file_of_a_similar_name_is_suggested():
    Path("mine.yaml").write_text(TEXT)
    with pytest.raises(RecipeError, match=r"^mine\.yml: no such file; did you mean 'mine\.yaml'\?$"):
        locate("mine.yml", registry())


def test_a_stem_offered_twice_names_both(bundle, tmp_path):
    other = plugin("textclf_rival", textclf_recipes=lambda: tmp_path / "offered")
    with pytest.raises(PluginError) as caught:
        locate("reviews", registry(bundle, other))
    assert str(caught.value) == (
        "recipe 'reviews' is offered by textclf_bundle and textclf_rival; uninstall one of them or name a file"
    )


def test_folders_pipes_and_devices_are_refused_at_once(tmp_path):
    """R12: nothing that could block, or never end, is opened."""
    os.mkfifo("pipe.yaml")
    for name, reason in {
        str(tmp_path): "is a folder; name the recipe file in it",
        "pipe.yaml": "is not a regular file, but a pipe, a socket or a device",
        "/dev/zero": "is not a regular file, but a pipe, a socket or a device",
        "a\0b": "cannot be read: ",
        "x" * 5000: "cannot be read: file name too long",
    }.items():
        with pytest.raises(RecipeError) as caught:
            locate(name, registry())
        shown = name.replace("\0", "\\0")
        assert str(caught.value).startswith(f"{shown}: {reason}")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_an_unreadable_file_is_refused():
    """R12: /proc/self/mem is a regular file whose first byte cannot be read, by anyone."""
    with pytest.raises(RecipeError, match=r"^/proc/self/mem: cannot be read: input/output error$"):
        locate("/proc/self/mem", registry())


def test_a_large_file_is_refused_unread(tmp_path):
    """R07: its size alone decides; reading a sparse terabyte would take hours."""
    with Path("large.yaml").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(RecipeError) as caught:
        locate("large.yaml", registry())
    assert str(caught.value) == "large.yaml: is 1,000,000,000,000 bytes large; a recipe has at most 262,144"


def test_a_recipe_knows_its_values_settings_and_places():
    recipe = read(TEXT)
    assert recipe.problems == ()
    assert recipe.values["trainer"] == {"use": "linear"}
    assert (recipe.settings.name, recipe.settings.seed, recipe.settings.split.seed) == ("mine", 0, 0)
    assert [step.use for step in recipe.settings.metrics] == ["accuracy"]
    assert str(recipe.locate(("trainer", "use"))) == "r.yaml:6:8"
    assert str(recipe.locate(("trainer",), key=True)) == "r.yaml:5:1"
    assert str(recipe.locate(("split", "test"))) == "r.yaml"


def test_a_recipe_without_a_name_has_its_files():
    assert parse(Source("a folder/my recipe.v2.yaml", "seed: 1\n")).settings.name == "my_recipe.v2"
    assert Recipe.from_mapping({}).settings.name == "recipe"


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "-dash", "a\\0b", "x" * 300, "", "näh", "a b"])
def test_a_name_that_makes_no_folder_is_refused(name):
    """R10: slash, dots, NUL, 300 characters, a leading dash."""
    [line] = lines(read(f'seed: 1\nname: "{name}"\n'))
    assert line == (
        "r.yaml:2:7: name: must be 1 to 100 letters, digits, '.', '_' and '-', "
        "not beginning with '.' or '-', since it names a folder"
    )


@pytest.mark.parametrize("name", ["imdb_bert", "2026-11-23", "v1.2", "x" * 100])
def test_a_plain_name_is_taken(name):
    assert lines(read(f'name: "{name}"\n')) == []


@pytest.mark.parametrize(
    ("version", "shown"), [("2", "2"), ("0", "0"), ('"1"', "the text '1'; write 1 without quotes"), ("1.5", "1.5")]
)
def test_an_unknown_version_is_refused(version, shown):
    """R13: only version 1 is known."""
    assert lines(read(f"version: {version}\n")) == [f"r.yaml:1:10: version: must be 1, not {shown}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed: 3", "r.yaml:1:1: sed: unknown key of a recipe; did you mean 'seed'?"),
        ("split: {tset: 0.2}", "r.yaml:1:9: split.tset: unknown key of 'split'; did you mean 'test'?"),
        (
            "report: {zzz: 1}",
            "r.yaml:1:10: report.zzz: unknown key of 'report' (known: draws, texts)",
        ),
        ("seed: -1", "r.yaml:1:7: seed: must be at least 0, not -1"),
        ("seed: 4294967296", "r.yaml:1:7: seed: must be at most 4294967295, not 4294967296"),
        ("seed: true", "r.yaml:1:7: seed: must be a whole number, not true"),
        ("seed: 1.5", "r.yaml:1:7: seed: must be a whole number, not 1.5"),
        ('seed: "3"', "r.yaml:1:7: seed: must be a whole number, not the text '3'; write 3 without quotes"),
        ("seed: lots", "r.yaml:1:7: seed: must be a whole number, not the text 'lots'"),
        ("gates: {f1: nan}", "r.yaml:1:13: gates.f1: must be a number, not the text 'nan'"),
        ("seed: [1]", "r.yaml:1:7: seed: must be a whole number, not a list"),
        ("seeds: [1, 1]", "r.yaml:1:8: seeds: names a seed twice"),
        ("seeds: []", "r.yaml:1:8: seeds: must have at least 1 entry, not 0"),
        ("seeds: 3", "r.yaml:1:8: seeds: must be a list, not 3"),
        ("split: 0.2", "r.yaml:1:8: split: must be a mapping, not 0.2"),
        ("split: {test: 0}", "r.yaml:1:15: split.test: must be greater than 0, not 0"),
        ("split: {test: 1.0}", "r.yaml:1:15: split.test: must be less than 1, not 1"),
        ("split: {group: yes}", "r.yaml:1:16: split.group: must be true or false, not the text 'yes'; write true"),
        (
            "split: {empty: dorp}",
            "r.yaml:1:16: split.empty: must be 'keep', 'drop' or 'refuse', not the text 'dorp'; did you mean 'drop'?",
        ),
        ("split: {folds: 1}", "r.yaml:1:16: split.folds: must be at least 2, not 1"),
        ("decide: {threshold: 1.5}", "r.yaml:1:21: decide.threshold: must be at most 1, not 1.5"),
        (
            "decide: {threshold: tune}",
            "r.yaml:1:21: decide.threshold: must be a number or 'tuned', not the text 'tune'; did you mean 'tuned'?",
        ),
        ("decide: {threshold: true}", "r.yaml:1:21: decide.threshold: must be a number or 'tuned', not true"),
        ("report: {draws: 10}", "r.yaml:1:17: report.draws: must be at least 100, not 10"),
        ('gates: {f1: "0.9"}', "r.yaml:1:13: gates.f1: must be a number, not the text '0.9'; write 0.9 without quotes"),
        ("trainer: 3", "r.yaml:1:10: trainer: must be a mapping, not 3"),
        ("trainer: {epochs: 3}", "r.yaml:1:1: trainer.use: is missing"),
        ("metrics: accuracy", "r.yaml:1:10: metrics: must be a list, not the text 'accuracy'"),
        ("metrics: [accuracy, 3]", "r.yaml:1:21: metrics.1: must be a mapping, not 3"),
        ("metrics: []", "r.yaml:1:10: metrics: must have at least 1 entry, not 0"),
        (
            "clean: [html_break]",
            "r.yaml:1:9: clean.0: no cleaning step is called 'html_break'; did you mean 'html_breaks'? "
            "(known: html_breaks, html_tags, html_entities, urls, whitespace, nfc, nfkc, lowercase)",
        ),
    ],
)
def test_a_wrong_setting_is_explained_in_plain_words(text, message):
    """R01, R08: misspelt keys with what was meant; bounds, booleans for numbers, numbers in quotes."""
    assert lines(read(text)) == [message]


def test_settings_without_what_is_wrong_keep_the_rest():
    text = "seed: x\nname: kept\nsplit: {test: 2, seed: 7}\nmetrics: [accuracy, 3, f1]\ntrainer: {use: 3, a: 1}\n"
    recipe = read(text)
    assert len(recipe.problems) == 4
    assert (recipe.settings.name, recipe.settings.seed, recipe.settings.split.seed) == ("kept", 0, 7)
    assert [step.use for step in recipe.settings.metrics] == ["accuracy", "f1"]
    assert recipe.settings.trainer is None


def test_what_cannot_be_read_is_complained_of_once():
    assert lines(read("seed: .nan\nname: !!str x\nsplit: {folds: 1e999}\n")) == [
        "r.yaml:1:7: seed: must be a finite number, not .nan",
        "r.yaml:2:7: name: the tag '!!str' is not allowed; a recipe holds plain values only; quote text that begins "
        "with '!'",
        "r.yaml:3:16: split.folds: must be a finite number, not 1e999",
    ]


def test_a_mapping_is_a_recipe_without_positions():
    recipe = Recipe.from_mapping({**SOUND, "split": {"tset": 0.1}, "dataset": {"use": "files", "path": Path("a.csv")}})
    assert recipe.values["dataset"] == {"use": "files", "path": "a.csv"}
    assert recipe.locate(("split", "tset")) is None
    assert lines(recipe) == ["split.tset: unknown key of 'split'; did you mean 'test'?"]


def test_a_mapping_is_never_changed():
    values = {"trainer": {"use": "net"}, "metrics": ["accuracy"]}
    Recipe.from_mapping(values, ["trainer.epochs=3", "metrics.0=f1_macro"])
    assert values == {"trainer": {"use": "net"}, "metrics": ["accuracy"]}


def test_a_mapping_holds_what_json_can_hold():
    endless: dict[str, object] = {}
    endless["again"] = endless
    recipe = Recipe.from_mapping({"seed": float("nan"), "split": {1, 2}, "decide": endless, "name": "\ud800"})
    assert lines(recipe)[:2] == ["seed: must be a finite number, not nan", "split: a set is no value of a recipe"]
    assert "name: contains half of a surrogate pair, which is no character" in lines(recipe)
    assert "decide.again.again: nests more than 50 levels deep" in lines(recipe)
    assert Recipe.from_mapping({"seeds": (1, 2)}).settings.seeds == (1, 2)
    with pytest.raises(RecipeError, match=r"^a recipe is a mapping, a file, or the name of a bundled recipe$"):
        Recipe.from_mapping(["rows"])  # type: ignore[arg-type]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["1e3", "2e-5", "no", "0o17", "1_000", "~", "", ".nan", "<<", "=", "- a", "#", "9" * 200])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc1", min_size=1), inner, max_size=3)
)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.dictionaries(st.text("abc1.", min_size=1), VALUES, min_size=1, max_size=4))
def test_what_is_written_reads_as_the_same_values(values):
    text = write(values)
    document = load(text, "r.yaml")
    assert document.problems == ()
    assert repr(document.values) == repr(values)
    assert repr(yaml.safe_load(text)) == repr(values)
