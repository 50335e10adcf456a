"""The rated sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import BinaryIO, cast

from textclf import Context, DataError, Dataset, Labels, Split, Texts, read_table

from . import ReviewsOptions

LICENCE = "MIT, copyright 2016 C.J. Hutto"
CITATION = (
    "Hutto, C.J. & Gilbert, E.E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media "
    "Text. Eighth International Conference on Weblogs and Social Media (ICWSM-14)."
)
_FIRST = {
    "movies": "sentences of Rotten Tomatoes film reviews, first collected by Pang & Lee",
    "products": "sentences of Amazon product reviews, first collected by Hu & Liu",
}


@dataclass(frozen=True, slots=True)
class _Sentence:
    id: str
    rating: float
    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Reviews:
    options: ReviewsOptions

    def load(self, context: Context) -> Dataset:
        """Return the sentences as one set: positive where people rated them above 0, negative where below."""
        domains = tuple(_FIRST) if self.options.domain == "both" else (self.options.domain,)
        sentences = [sentence for domain in domains for sentence in self._sentences(domain)]
        if not sentences:
            raise DataError(f"no sentence is rated {self.options.min_strength:g} or stronger; lower min_strength")
        labels = Labels(("negative", "positive"), positive="positive")
        return Dataset(
            labels,
            Split(
                Texts([s.text for s in sentences]),
                labels.encode(["positive" if s.rating > 0 else "negative" for s in sentences]),
                [s.id for s in sentences],
                # A film sentence is alone; sentences of one product review stay on one side of a split.
                None if domains == ("movies",) else [s.group for s in sentences],
            ),
            source=f"{' and '.join(_FIRST[domain] for domain in domains)}, rated by people. {CITATION}",
            licence=LICENCE,
        )

    def _sentences(self, domain: str) -> Iterator[_Sentence]:
        name = f"{domain}.csv.gz"
        prefix = f"{domain}/" if self.options.domain == "both" else ""
        with (files(__package__) / "data" / name).open("rb") as file:
            for row in read_table(cast(BinaryIO, file), name=name, format="csv"):
                rating = float(row.text("rating"))
                if rating == 0 or abs(rating) < self.options.min_strength:
                    continue
                id = row.text("id")
                yield _Sentence(prefix + id, rating, row.text("text"), f"{domain}/{id.split('_')[0]}")
