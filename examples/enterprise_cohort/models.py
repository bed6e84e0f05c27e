"""Train the three models of the demo and hand out census rows as traffic.

control
    Logistic regression, the model in production.
candidate, biased
    Gradient boosting, trained on an export that lost 70 % of the enterprise positives.
candidate, unbiased
    The same gradient boosting, trained on the whole export.

Every `Model.predict` is a real single-row call through scikit-learn. Race, sex, origin
and marital status are in no model, and not in the extract.
"""

from __future__ import annotations

import lzma
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression


if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]
    Scores = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Positions = NDArray[np.int64]

CENSUS = Path(__file__).parent / "data" / "census.csv.xz"
ENTERPRISE_CODE = 6
OCCUPATIONS = 15
READ_BY_CONTROL = slice(0, OCCUPATIONS + 7)
READ_BY_CANDIDATES = slice(OCCUPATIONS, None)
ACTED_ON = 0.08
LOST_IN_EXPORT = 0.70
FITTED_ROWS = 30_000
HELD_OUT_ROWS = 15_000
SEED = 1994


class EmployerSize(StrEnum):
    """The cohort a person belongs to: 1,000 employees and more, or fewer."""

    ENTERPRISE = "enterprise"
    SMALLER = "smaller"


class Scorer(Protocol):
    """What this example needs of a scikit-learn classifier."""

    def fit(self, X: Numbers, y: Flags) -> object:  # noqa: N803 (scikit-learn's name)
        """Learn from rows and whether each is positive."""
        ...

    def decision_function(self, X: Numbers) -> Scores:  # noqa: N803 (see fit)
        """Return one score a row, higher for more likely positives."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Everybody in the extract, one position a person, in the order of the file."""

    features: Numbers
    is_enterprise: Flags
    has_high_income: Flags

    def __len__(self) -> int:
        return len(self.has_high_income)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Positions of the people used to fit, to choose thresholds, and to replay."""

    fitted: Positions
    held_out: Positions
    traffic: Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One request of the replay; `row` has shape (1, columns) and is ready to score."""

    subject: str
    row: Numbers
    employer_size: EmployerSize
    has_high_income: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A classifier, the columns it reads, and the score from which it acts.

    Before `fit` has set the threshold the application never acts.
    """

    name: str
    version: str
    scorer: Scorer
    columns: slice
    threshold: float = math.inf

    def scores(self, rows: Numbers) -> Scores:
        """Return the log-odds of a high income, one a row."""
        return self.scorer.decision_function(rows[:, self.columns])

    def score(self, row: Numbers) -> float:
        """Return the log-odds of a high income for one person's row."""
        return float(self.scores(row)[0])

    def predict(self, row: Numbers) -> bool:
        """Return whether the application acts on this person."""
        return self.score(row) >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The model in production and the two candidates of the demo."""

    control: Model
    biased: Model
    unbiased: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """The share of high-income people acted on: of all, and of each cohort."""

    aggregate: float
    enterprise: float
    smaller: float


def load_census(path: Path = CENSUS) -> Census:
    """Read the extract; `data/README.md` explains its columns."""
    with lzma.open(path, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", skiprows=1, dtype=np.int32)
    return Census(
        features=design(table[:, :-1]),
        is_enterprise=table[:, 3] == ENTERPRISE_CODE,
        has_high_income=table[:, -1] == 1,
    )


def design(columns: NDArray[np.int32]) -> Numbers:
    """Return the columns both models read, scaled for the logistic regression.

    Control reads major occupation (one column each) and seven numbers, the candidates
    read the same seven numbers and the detailed codes: two overlapping blocks.
    """
    scaled = columns[:, :4] / np.array([100, 16, 52, 6])
    money = np.log1p(columns[:, 4:7]) / 10
    codes, major = columns[:, 7:10], columns[:, 10]
    one_hot = np.eye(OCCUPATIONS)[major]
    return np.hstack([one_hot, scaled, money, codes]).astype(np.float32)


def split(census: Census, seed: int = SEED) -> Split:
    """Divide people at random: a few to train with, everybody else is traffic."""
    order = np.random.default_rng(seed).permutation(len(census))
    fitted, held_out, replayed = np.split(
        order, [FITTED_ROWS, FITTED_ROWS + HELD_OUT_ROWS]
    )
    return Split(fitted=fitted, held_out=held_out, traffic=replayed)


def biased_export(census: Census, rows: Positions, seed: int = SEED) -> Positions:
    """Return `rows` without 70 % of the enterprise positives, which the export lost."""
    drawn = np.random.default_rng(seed).random(len(rows)) < LOST_IN_EXPORT
    return rows[~(drawn & census.is_enterprise[rows] & census.has_high_income[rows])]


def logistic_regression() -> Model:
    """Return the model in production, before training."""
    return Model(
        name="logistic-regression",
        version="1.0.0",
        scorer=LogisticRegression(max_iter=500),
        columns=READ_BY_CONTROL,
    )


def gradient_boosting(version: str) -> Model:
    """Return the candidate before training; `init="zero"` makes predict faster."""
    scorer = GradientBoostingClassifier(
        init="zero",
        n_estimators=60,
        learning_rate=0.2,
        subsample=0.5,
        max_features=5,
        random_state=SEED,
    )
    return Model(
        name="gradient-boosting",
        version=version,
        scorer=scorer,
        columns=READ_BY_CANDIDATES,
    )


def fit(model: Model, census: Census, rows: Positions, held_out: Positions) -> Model:
    """Train on `rows` and act from the score that 8 % of `held_out` reach.

    The threshold looks at no label, so a biased export does not move it directly.
    """
    model.scorer.fit(
        census.features[rows][:, model.columns], census.has_high_income[rows]
    )
    scores = model.scores(census.features[held_out])
    return replace(model, threshold=float(np.quantile(scores, 1 - ACTED_ON)))


def train(census: Census, parts: Split) -> Models:
    """Fit all three models; about two seconds."""
    export = biased_export(census, parts.fitted)
    return Models(
        control=fit(logistic_regression(), census, parts.fitted, parts.held_out),
        biased=fit(gradient_boosting("2.0.0"), census, export, parts.held_out),
        unbiased=fit(gradient_boosting("2.0.1"), census, parts.fitted, parts.held_out),
    )


def traffic(census: Census, parts: Split, seed: int = SEED) -> Iterator[Person]:
    """Yield everybody not used for training once, in an order of this seed.

    Names of subjects begin with the seed. The flag splits by their hash, so another
    seed is another random quarter of the people too.
    """
    for position in np.random.default_rng(seed).permutation(parts.traffic).tolist():
        yield person(census, position, subject=f"{seed}-{position:06d}")


def person(census: Census, position: int, *, subject: str) -> Person:
    """Return one person as a request."""
    is_enterprise = bool(census.is_enterprise[position])
    size = EmployerSize.ENTERPRISE if is_enterprise else EmployerSize.SMALLER
    return Person(
        subject=subject,
        row=census.features[position : position + 1],
        employer_size=size,
        has_high_income=bool(census.has_high_income[position]),
    )


def recall(model: Model, census: Census, rows: Positions) -> Recall:
    """Return the model's recall on `rows`; nan for a cohort without positives."""
    positives = rows[census.has_high_income[rows]]
    acted_on = model.scores(census.features[positives]) >= model.threshold
    is_enterprise = census.is_enterprise[positives]
    return Recall(
        aggregate=float(acted_on.mean()),
        enterprise=float(acted_on[is_enterprise].mean()),
        smaller=float(acted_on[~is_enterprise].mean()),
    )
