"""What the kit and a run say of datasets that are not what their traits promised, or that draw by chance."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.culprits.making import LINEAR, TEXTS
from tests.places import placeless
from tests.toys import engine, plugin, recipe
from textclf import PluginError, Texts, Traits
from textclf.testing import check_component
from textclf.testing.toy import TextsOptions, ToyLinear, ToyTexts


class Lonely(ToyTexts):
    """Forgets the second texts."""

    def load(self, context):
        data = super().load(context)
        return replace(data, train=replace(data.train, texts=Texts(data.train.texts.first)))


PROMISED = [
    (Lonely, Traits(pairs=True), "texts are single, where its traits say that they are pairs"),
    (ToyTexts, Traits(), "texts are pairs, where its traits say that they are not"),
]


@pytest.mark.parametrize(("made", "traits", "found"), PROMISED)
def test_pairs_that_are_promised_and_do_not_come_or_come_unasked_are_found(made, traits, found):
    findings = check_component(replace(TEXTS, build=made, traits=traits), "dataset", {"pairs": True})
    failed = {one.clause.id: placeless(one.detail) for one in findings if one.state == "failed"}
    assert failed == {"dataset.traits": f"its {found}"}


@pytest.mark.parametrize(("made", "traits", "found"), PROMISED)
def test_a_run_refuses_them_and_names_the_provider(made, traits, found, tmp_path):
    options = TextsOptions(size=40, pairs=True)
    odd = plugin("dataset", "odd", lambda: made(options), traits=traits)
    with pytest.raises(PluginError) as refused:
        engine(odd, runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe(dataset="odd"))
    said = f"dataset 'odd' (plugin textclf_odd): load returned a dataset whose {found}"
    assert placeless(str(refused.value)) == said


class Shuffling(ToyTexts):
    def load(self, context):
        random.shuffle([1, 2, 3])
        return super().load(context)


class Drawing(ToyLinear):
    def train(self, *given):
        random.random()
        return super().train(*given)


@pytest.mark.parametrize(
    ("component", "kind", "way"),
    [
        (
            replace(TEXTS, build=Shuffling),
            "dataset",
            "use a generator of its own, with a fixed seed or an option of its own, not context.seed",
        ),
        (replace(LINEAR, build=Drawing), "trainer", "use context.seed"),
    ],
)
def test_who_draws_from_a_global_generator_is_told_whose_seed_to_take(component, kind, way):
    (finding,) = [one for one in check_component(component, kind) if one.clause.id == "work.chance"]
    assert finding.detail == f"the generator of random is drawn from or seeded; {way}"
