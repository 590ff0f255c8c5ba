"""Elo from ranks: the Bradley–Terry maximum by Newton's method, of a board and of resampled boards at once.

The numbers are `bencheval`'s, to a hundredth of a point, which a test holds; its solver takes them one by one and loads
scikit-learn. Where every pair of methods meets on every task, the likelihood needs only how often each method wins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
CENTRE = 1000.0
SCALE = 400.0 / np.log(10.0)
"""Points of Elo for a log-strength of one: 400 points are odds of 10 to 1."""
RIDGE = 9.430584850580694e-08
"""What keeps the ratings of a method that always wins finite (`bencheval`'s)."""
STEP = 2.0


def ratings(wins: Real, tasks: int) -> Real:
    """(boards, methods) Elo about `CENTRE`.

    Args:
        wins: (boards, methods) how many other methods each beats, summed over tasks, ties as half.
        tasks: How many tasks each board has.
    """
    strength, pairs = np.zeros_like(wins), 1.0 - np.eye(wins.shape[1])
    for _ in range(200):
        odds = 1 / (1 + np.exp(strength[:, None, :] - strength[:, :, None])) * pairs
        gradient = wins - tasks * odds.sum(axis=2) - 2 * RIDGE * strength
        information = tasks * odds * odds.swapaxes(1, 2)
        hessian = -information
        diagonal = np.arange(wins.shape[1])
        hessian[:, diagonal, diagonal] = information.sum(axis=2) + 2 * RIDGE
        move = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        # far from the maximum a whole step would overshoot
        longest = np.abs(move).max(axis=1, keepdims=True)
        strength += move * np.minimum(1.0, STEP / np.maximum(longest, STEP))
        if longest.max() < 1e-9:
            break
    return np.asarray(CENTRE + SCALE * (strength - strength.mean(axis=1, keepdims=True)))


def resampled(wins: Real, rounds: int, seed: int = 0) -> Real:
    """(rounds, methods) Elo of boards whose tasks are drawn with replacement.

    Args:
        wins: (methods, tasks) how many other methods each beats, ties as half.
    """
    random, tasks = np.random.default_rng(seed), wins.shape[1]
    counts = np.stack([np.bincount(random.choice(tasks, size=tasks), minlength=tasks) for _ in range(rounds)])
    return ratings(counts.astype(np.float64) @ wins.T, tasks)
