"""Probabilities are calibrated where validation shows that it helps, and quantiles hold their share of labels; neither changes a ranking."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from relbench_harness.baselines.calibration.calibrated import Calibrate, Calibrated, Plain
from relbench_harness.baselines.calibration.folds import entity_folds, is_above_noise
from relbench_harness.baselines.calibration.probabilities import MAPS, PLAIN, choose_map
from relbench_harness.baselines.calibration.residuals import choose_intervals, fit_intervals
from shop import Shop

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.intervals import NOTE, Intervals, intervals_of, noted_intervals
from relbench_harness.protocol.method import Budget, Examples, Predictor
from relbench_harness.protocol.metrics import binary

LEVELS = (0.1, 0.5, 0.9)


def drawn(n: int, distort: str, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Given probabilities, labels, and the true probabilities, which `distort` says how to get."""
    random = np.random.default_rng(seed)
    given = random.beta(1.2, 2.5, n)
    odds = np.log(given) - np.log1p(-given)
    true = {
        "nothing": given, "logistic": 1 / (1 + np.exp(-(0.4 * odds - 1))), "steps": np.where(given < 0.3, 0.02, np.where(given < 0.6, 0.1, 0.9)),
    }[distort]  # fmt: skip
    return given, (random.random(n) < true).astype(np.float64), true


@pytest.mark.parametrize(("distort", "expected"), [("nothing", PLAIN), ("logistic", "platt"), ("steps", "isotonic")])
def test_the_map_that_fits_is_chosen_and_comes_near_the_truth(distort: str, expected: str) -> None:
    given_, labels, _ = drawn(4000, distort, 3)
    found = choose_map(given_, labels, np.arange(4000), noise=2.0, seed=0)
    assert found.name == expected, found
    fresh, unseen, fresh_true = drawn(4000, distort, 4)
    before, after = np.abs(fresh - fresh_true).mean(), np.abs(found.map(fresh) - fresh_true).mean()
    assert after < 0.03 and (expected == PLAIN or after < before / 3)
    scores, plain = binary(unseen, found.map(fresh)), binary(unseen, fresh)
    for metric in ("roc_auc", "average_precision", "lift_10"):
        assert scores[metric] == pytest.approx(plain[metric], abs=1e-12)


def test_pure_noise_seldom_changes_anything_and_never_by_much() -> None:
    changed = 0
    for seed in range(30):
        given_, labels, true = drawn(300, "nothing", seed)
        found = choose_map(given_, labels, np.arange(300), noise=1.0, seed=0)
        changed += found.name != PLAIN
        assert np.abs(found.map(given_) - true).mean() < 0.1
    assert changed <= 7


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(MAPS)), st.booleans())
def test_maps_keep_order_and_stay_probabilities(seed: int, name: str, turned: bool) -> None:
    random = np.random.default_rng(seed)
    given_ = random.random(60).round(2)
    labels = (random.random(60) < (1 - given_ if turned else given_)).astype(np.float64)
    ascending = np.unique(given_)
    mapped = MAPS[name](given_, labels)(ascending)
    assert (np.diff(mapped) > 0).all() and mapped.min() >= 0 and mapped.max() <= 1


def test_few_positives_and_numbers_that_are_no_probabilities_stay() -> None:
    given_, labels, _ = drawn(400, "steps", 0)
    rare = np.zeros(400)
    rare[:5] = 1
    for values, truth in ((given_, rare), (4 * given_ - 1, labels)):
        found = choose_map(values, truth, np.arange(400), 0.0, 0)
        assert found.name == PLAIN and found.map(values) is values


def test_examples_of_an_entity_are_one_piece_of_evidence() -> None:
    entity = np.repeat(np.arange(20), 50)
    for fitted_on, judged in entity_folds(entity, 0):
        assert not set(entity[fitted_on]) & set(entity[judged])
    assert sorted(np.concatenate([judged for _, judged in entity_folds(entity, 0)])) == list(range(1000))
    # one entity gains much, the others lose a little: 1000 independent examples would be proof
    gains = np.where(entity == 0, 1.0, -0.02)
    assert gains.mean() > 0.02 and not is_above_noise(gains, entity, 1.0)
    assert is_above_noise(gains, np.arange(1000), 1.0)


@pytest.mark.parametrize("n", [25, 400])
def test_intervals_cover_at_least_what_they_intend(n: int) -> None:
    inside, below = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        predictions, labels = random.normal(size=(2, n + 20))
        found = choose_intervals(predictions[:n], labels[:n], np.arange(n), LEVELS, 1.0)
        assert found is not None
        quantiles = found.around(predictions[n:])
        assert (np.diff(quantiles, axis=1) >= 0).all()
        inside.append(((labels[n:] >= quantiles[:, 0]) & (labels[n:] <= quantiles[:, 2])).mean())
        below.append((labels[n:] <= quantiles[:, 1]).mean())
    # exchangeable by construction: the guarantee holds, and is not much exceeded
    assert 0.79 < np.mean(inside) < (0.87 if n == 25 else 0.82)
    assert 0.48 < np.mean(below) < (0.56 if n == 25 else 0.53)


def test_intervals_are_wider_where_residuals_are_larger() -> None:
    random = np.random.default_rng(0)
    predictions = random.exponential(10, 3000)
    labels = predictions * random.lognormal(0, 0.5, 3000)
    found = choose_intervals(predictions[:2000], labels[:2000], np.arange(2000), LEVELS, 1.0)
    assert found is not None and len(found.offsets) > 3
    plain = fit_intervals(predictions[:2000], labels[:2000], LEVELS)
    assert plain is not None
    for part in (predictions[2000:] < 5, predictions[2000:] > 20):
        one = found.measured(labels[2000:][part], predictions[2000:][part])
        assert abs(one["coverage"] - 0.8) < 0.07, one
    assert (
        plain.measured(labels[2000:][predictions[2000:] > 20], predictions[2000:][predictions[2000:] > 20])["coverage"]
        < 0.65
    )
    assert found.around(np.asarray([0.0])).min() >= 0


def test_notes_hold_intervals_and_nothing_malformed() -> None:
    one = Intervals((0.05, 0.975), (1.5,), ((-1.0, 1.0), (-2.0, 2.0)), 0.0)
    assert one.names == ("q5", "q97.5") and noted_intervals({NOTE: one.noted()}) == one
    bad = [
        {},
        {NOTE: "none: 3 examples"},
        {NOTE: {**one.noted(), "levels": [0.9, 0.1]}},
        {NOTE: {**one.noted(), "offsets": [[1, 2]]}},
    ]
    for notes in [*bad, {NOTE: {**one.noted(), "edges": ["x"]}}, {NOTE: {**one.noted(), "offsets": [[None, 1], [1, 2]]}}]:
        assert noted_intervals(notes) is None
    with pytest.raises(InputError, match=r"between 0 and 1, such as \[0.1, 0.5, 0.9\], not \[10\]"):
        Calibrate(quantiles=[10])  # type: ignore[list-item]


@dataclass(frozen=True)
class Answers:
    """A method that answers by a number of the entity and the time."""

    spread: float

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        return AnswersFitted(self.spread)


@dataclass(frozen=True)
class AnswersFitted:
    spread: float

    @property
    def notes(self) -> dict[str, object]:
        return {"left_out": ["x"]}

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        if examples.task.type is TaskType.RECOMMENDATION:
            return np.zeros((len(examples), 10), np.int64)
        share = (examples.entity * 37 % 101 + 1) / 103
        return np.stack([share, 1 - share], axis=1) if examples.width else self.spread * share

    def refit(self, examples: Examples) -> Predictor:
        return AnswersFitted(2 * self.spread)


def test_regressions_keep_their_predictions_and_know_intervals(shop: Shop) -> None:
    train, valid = shop.examples(TaskType.REGRESSION, (60, 80), 100), shop.examples(TaskType.REGRESSION, (100, 120), 100)
    fitted = Calibrate().around(Answers(3.0)).fit(train, valid, Budget())
    np.testing.assert_array_equal(fitted.predict(valid), AnswersFitted(3.0).predict(valid))
    found = intervals_of(fitted)
    assert found is not None and fitted.notes == {"left_out": ["x"], NOTE: found.noted()}  # type: ignore[attr-defined]
    assert 0.8 <= found.measured(valid.values, fitted.predict(valid))["coverage"] < 0.85
    again = fitted.refit(valid)  # type: ignore[attr-defined]
    assert intervals_of(again) == found
    np.testing.assert_array_equal(again.predict(valid), AnswersFitted(6.0).predict(valid))
    few = Calibrated(Answers(3.0)).fit(train, valid.take(np.arange(8)), Budget())
    assert intervals_of(few) is None and few.notes[NOTE] == "none: 8 examples of validation, 9 are needed"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.MULTILABEL])
def test_probabilities_pass_through_maps_chosen_on_validation(shop: Shop, kind: TaskType) -> None:
    train, valid = shop.examples(kind, (60, 80), 100), shop.examples(kind, tuple(range(100, 200, 20)), 100)
    fitted = Calibrated(Answers(1.0)).fit(train, valid, Budget())
    said = fitted.notes["calibration"]["chosen"]  # type: ignore[attr-defined]
    answer, plain = fitted.predict(replace(valid, labels=None)), AnswersFitted(1.0).predict(valid)
    assert answer.shape == plain.shape and PLAIN not in (said if isinstance(said, list) else [said])
    losses = [-np.log(np.where(valid.values > 0, given, 1 - given)).mean() for given in (answer, plain)]
    assert losses[0] < losses[1] - 0.1
    assert (np.argsort(answer, axis=0) == np.argsort(plain, axis=0)).all()


def test_what_has_no_probability_stays_and_so_does_every_method_by_default(shop: Shop) -> None:
    train = shop.examples(TaskType.RECOMMENDATION, (60, 80), 100)
    assert isinstance(Calibrated(Answers(1.0)).fit(train, train, Budget()), AnswersFitted)
    assert Plain().around(Answers(1.0)) == Answers(1.0)
