"""The options of this plugin's components."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import field_validator

from textclf import Field, Options

Size = Annotated[int, Field(ge=1, le=10)]
Average = Literal["auto", "binary", "micro", "macro", "weighted"]
Balance = Literal["none", "balanced"]


class TfidfOptions(Options):
    renamed: ClassVar = {
        "ngrams": ("ngram_range", "textclf-engine 0.3"),
        "sublinear": ("sublinear_tf", "textclf-engine 0.3"),
        "idf": ("use_idf", "textclf-engine 0.3"),
    }

    analyzer: Literal["word", "char", "char_wb"] = Field(
        "word",
        description="n-grams of words, of characters, or of characters inside words (char_wb); "
        "characters suit misspellings and scripts without spaces, and cost several times more",
    )
    ngram_range: tuple[Size, Size] = Field((1, 2), description="shortest and longest n-gram, in words or characters")
    lowercase: bool = Field(True, description="count upper and lower case as the same")
    one_letter: bool = Field(True, description="words of one letter count too (word analyzer)")
    marks: bool = Field(False, description="each punctuation mark counts as a word (word analyzer)")
    min_df: int | None = Field(
        None, ge=1, le=1_000_000,
        description="leave out n-grams that fewer training texts contain; null: 2, or 1 below 1,000 training texts",
    )  # fmt: skip
    max_df: float = Field(1.0, gt=0, le=1, description="leave out n-grams that a larger share of the texts contains")
    max_features: int | None = Field(
        None, ge=1, le=50_000_000, description="keep only so many n-grams, the most frequent; of each text of a pair"
    )
    binary: bool = Field(False, description="count whether an n-gram occurs, not how often")
    sublinear_tf: bool = Field(True, description="1 + log(count) in place of the count")
    use_idf: bool = Field(True, description="weigh n-grams down by how many training texts contain them")
    norm: Literal["l2", "none"] = Field("l2", description="bring every text to Euclidean length one, or leave it")

    @field_validator("ngram_range")
    @classmethod
    def _in_order(cls, sizes: tuple[int, int]) -> tuple[int, int]:
        if sizes[0] > sizes[1]:
            raise ValueError(f"the shortest n-gram, {sizes[0]}, is longer than the longest, {sizes[1]}")
        return sizes


class LogisticOptions(Options):
    # The defaults of this page were chosen by benchmarks/linear_trainers.py --search.
    C: float = Field(10.0, gt=0, le=1e6, description="inverse strength of the L2 penalty: smaller is smoother")
    class_weight: Balance = Field("none", description="balanced: every label weighs the same, however rare")
    max_iter: int = Field(1000, ge=1, le=1_000_000, description="most L-BFGS iterations")


class LinearSvmOptions(Options):
    C: float = Field(0.3, gt=0, le=1e6, description="inverse strength of the L2 penalty: smaller is smoother")
    class_weight: Balance = Field("none", description="balanced: every label weighs the same, however rare")
    max_iter: int = Field(5000, ge=1, le=1_000_000, description="most passes of LIBLINEAR over the texts")
    folds: int = Field(5, ge=2, le=100, description="parts held out in turn to calibrate probabilities; each is a fit")


class NaiveBayesOptions(Options):
    alpha: float = Field(1.0, gt=0, le=1e6, description="count added to every feature of every label")
    prior: Literal["training", "uniform"] = Field("training", description="how likely labels are before reading")


class NbsvmOptions(LinearSvmOptions):
    C: float = Field(3.0, gt=0, le=1e6, description="inverse strength of the L2 penalty: smaller is smoother")
    alpha: float = Field(1.0, gt=0, le=1e6, description="count added to every feature before ratios are taken")
    beta: float = Field(0.25, ge=0, le=1, description="1 is the machine alone, 0 the ratios with one weight for all")


class AverageOptions(Options):
    average: Average = Field(
        "auto",
        description="binary: of the positive label; micro: of all decisions together; macro: mean over labels; "
        "weighted: mean over labels by support; auto: binary with two labels, macro with more, micro for multi-label",
    )


TRAINERS: dict[str, tuple[type[Options], set[str], str]] = {
    "logistic": (LogisticOptions, {"matrix", "counts"}, "logistic regression"),
    "linear_svm": (LinearSvmOptions, {"matrix", "counts"}, "linear support vector machine, calibrated"),
    "naive_bayes": (NaiveBayesOptions, {"counts"}, "multinomial naive Bayes"),
    "nbsvm": (NbsvmOptions, {"counts"}, "support vector machine on naive Bayes log-count ratios"),
}

METRICS = {
    "accuracy": "share of texts whose label, or set of labels, is right",
    "f1": "harmonic mean of precision and recall",
    "f1_macro": "F1, the mean over labels",
    "f1_micro": "F1 of all decisions together",
    "f1_weighted": "F1, the mean over labels by their support",
    "log_loss": "mean surprise at the truth; smaller is better",
    "mcc": "Matthews correlation of truth and prediction",
    "precision": "share of predictions of a label that are right",
    "recall": "share of texts of a label that are found",
    "roc_auc": "chance that a text of the label scores above another",
}
