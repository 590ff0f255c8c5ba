"""The ceiling is what it is called: scores that came about are draws from those stated, and no other answer does better."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2
from shop_worlds import drawn, part, scored, shop, stages_and_truth, world

from relbench_harness.data.truth import Truth
from relbench_harness.protocol.method import label_values
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.stages import Stages

TASKS = ("customer-churn", "customer-fraud", "customer-products", "customer-spend", "product-category")
Answers = NDArray[np.generic]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    shop()


@pytest.mark.thorough
@pytest.mark.parametrize("task", TASKS)
def test_scores_that_came_about_are_draws_from_those_stated(task: str) -> None:
    """Over twelve worlds, the distances from the stated ceiling in its standard deviations are as chance has them."""
    apart = []
    scale = 4 if task == "customer-fraud" else 1  # fraud is too rare to be judged by a few hundred customers
    for seed in range(100, 112):
        stages, truth = stages_and_truth(f"rel-shop@scale={scale},seed={seed}", task)
        metric = PRIMARY[stages.task.type].name
        labels = label_values(stages.task, stages.labels("test").target, stages.classes)
        others = [scores[metric] for scores in drawn(stages, truth, 40)]
        reached = scored(stages, labels, truth.answers, truth.classes)[metric]
        apart.append((reached - np.mean(others)) / np.std(others, ddof=1))
        stages_and_truth.cache_clear()
    assert abs(np.mean(apart)) < 3.3 / np.sqrt(len(apart))
    assert chi2.ppf(0.0005, len(apart)) < np.square(apart).sum() < 1.2 * chi2.ppf(0.9995, len(apart))


# -- other answers made from the same truth ---------------------------------------------------------------------------


def others(stages: Stages, truth: Truth) -> Iterator[tuple[str, Answers]]:
    """What one might answer instead, knowing the truth."""
    random = np.random.default_rng(1)
    name = stages.task.name
    if name in ("customer-churn", "customer-fraud"):
        chance = truth.answers.astype(np.float64)
        yield "rounded", np.round(chance, 1)
        yield "blurred", chance * random.lognormal(0, 0.1, len(chance))
        return
    if name == "customer-spend":
        assert truth.expectation is not None
        yield "expected", truth.expectation
        for factor in (0.9, 1.1):
            yield f"median × {factor}", truth.answers * factor
        yield "half of both", (truth.answers + truth.expectation) / 2
        return
    if name == "product-category":
        assert truth.expectation is not None
        chance = truth.expectation
        yield "likeliest", chance
        yield "likely for its class", chance / chance.sum(axis=0)
        yield "likely for its class, in part", chance / np.sqrt(chance.sum(axis=0))
        yield (
            "drawn",
            np.eye(chance.shape[1])[(random.random((len(chance), 1)) > chance.cumsum(axis=1)[:, :-1]).sum(axis=1)],
        )
        yield "anything", random.random(chance.shape)
        return
    likely = truth.answers.astype(np.int64)
    swapped = likely.copy()
    swapped[:, [0, 1]] = likely[:, [1, 0]]
    yield "second first", swapped
    counts = np.bincount(likely.ravel())
    yield "popular", np.broadcast_to(np.argsort(-counts, kind="stable")[: likely.shape[1]], likely.shape).copy()


@pytest.mark.parametrize("causes", ["all", "none", "brand", "look"])
@pytest.mark.parametrize("task", TASKS)
def test_no_answer_made_from_the_truth_is_better(task: str, causes: str) -> None:
    if causes in ("brand", "look") and task != "product-category":
        pytest.skip("a cause of another task")
    stages, truth = stages_and_truth(f"rel-shop@scale=1,causes={causes}", task)
    metric = PRIMARY[stages.task.type]
    random, sign = np.random.default_rng(5), 1 if metric.higher_is_better else -1
    draws = [label_values(stages.task, truth.draw(random), stages.classes) for _ in range(60)]

    def scores(answers: Answers) -> NDArray[np.float64]:
        return sign * np.array([scored(stages, labels, answers, truth.classes)[metric.name] for labels in draws])

    best = scores(truth.answers)
    for name, answers in others(stages, truth):
        gain = scores(answers) - best
        gain = gain[np.isfinite(gain)]
        assert gain.mean() <= 3 * gain.std() / np.sqrt(len(gain)) + 1e-12, name


# -- recommendations: the likeliest items first -----------------------------------------------------------------------

SHOWN = 100
"""Items of an example that lists are searched among, those bought most."""


def futures(count: int, seed: int, examples: int = 25) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(draws, examples, items) what is bought, and (examples, k) the answers of the truth."""
    stages, truth = stages_and_truth("rel-shop@scale=1", "customer-products")
    answers, settings = part("answers"), part("settings")
    goods = part("catalogue").stock(0, 1, settings.chosen("all"))
    shops = answers.World(world("rel-shop@scale=1").stored / "truth", goods, settings.chosen("all"))
    labels = stages.labels("test")
    who = answers.known(shops.folder, labels.entity[:examples], int(labels.time[0]))
    offer, random = shops.offer(who.epoch), np.random.default_rng(seed)
    bought = np.zeros((count, examples, len(goods)), np.bool_)
    for draw in bought:
        owner, product, _ = answers.simulated(random, shops, who, offer)
        draw[owner, product] = True
    return bought, truth.answers[:examples].astype(np.int64)


def precision(bought: NDArray[np.bool_], lists: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws, examples) average precision at k."""
    k = lists.shape[1]
    hit = np.take_along_axis(bought, np.broadcast_to(lists, (len(bought), *lists.shape)), axis=2)
    within = np.minimum(bought.sum(axis=2), k)
    return np.asarray((hit.cumsum(axis=2) / (np.arange(k) + 1) * hit).sum(axis=2) / within)


def pairs(bought: NDArray[np.bool_], k: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """For each example the items it may buy, and how often each two of them are bought, a full basket counting less.

    The expected average precision of a list is Σ_r (1 / r) Σ_{s ≤ r} of this at (r-th item, s-th item).
    """
    weight = 1 / np.minimum(bought.sum(axis=2), k)
    for example in range(bought.shape[1]):
        mine, w = bought[:, example], weight[:, example, None]
        items = np.argsort(-(mine * w).mean(axis=0), kind="stable")[:SHOWN]
        yield items, (mine[:, items] * w).T @ mine[:, items].astype(np.float64) / len(mine)


def climbed(bought: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """Lists that score best on these very draws: one item after another, then every exchange that helps."""
    found = []
    for items, both in pairs(bought, k):
        chosen: list[int] = []
        for _ in range(k):
            gain = both.diagonal() + both[:, chosen].sum(axis=1)
            gain[chosen] = -1
            chosen.append(int(gain.argmax()))

        def value(order: list[int], both: NDArray[np.float64] = both) -> float:
            return float(sum(both[order[r], order[: r + 1]].sum() / (r + 1) for r in range(k)))

        better = True
        while better:
            better = False
            for i in range(k):
                for j in range(i + 1, k):
                    other = chosen.copy()
                    other[i], other[j] = other[j], other[i]
                    if value(other) > value(chosen) + 1e-12:
                        chosen, better = other, True
        found.append(items[chosen])
    return np.array(found)


@pytest.mark.thorough
def test_no_list_is_much_better_than_the_likeliest_items() -> None:
    """Lists sought by simulation are no better, and by rearrangement no list at all can be better by more than 3 %."""
    bought, likely = futures(3000, seed=1)
    k = likely.shape[1]
    again, _ = futures(3000, seed=2)
    ours = precision(again, likely)
    gain = (precision(again, climbed(bought, k)) - ours).mean(axis=1)
    assert gain.mean() <= 3 * gain.std() / np.sqrt(len(gain))
    ranks = np.arange(k) + 1
    at_pairs = np.sort(np.repeat(1 / ranks, ranks - 1))[::-1]
    most = []
    for _, both in pairs(again, k):
        alone = np.sort(both.diagonal())[::-1]
        together = np.sort(both[np.triu_indices(len(both), 1)])[::-1]
        # a pair with an item that is not shown is no commoner than that item
        together = np.maximum(together[: len(at_pairs)], alone[-1])
        most.append(alone[:k] @ (1 / ranks) + together @ at_pairs)
    assert ours.mean() <= np.mean(most) <= 1.03 * ours.mean()
