"""Random neighbours without a running generator: what is drawn follows from a seed, a cut-off, a step and a row alone.

Invariant: the numbers of one `stream` depend on nothing else, so a draw is the same on any number of threads and in any batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled

Array = NDArray[Any]
Integer = int | np.int64

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""What is added to the state of a stream for its next number: 2⁶⁴ divided by the golden ratio."""
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_S58, _ONE, _ZERO, _SIX_BITS = np.uint64(58), np.uint64(1), np.uint64(0), 63
_UNIT = 2.0**-53
_HALF_UNIT = 2.0**-54
_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_LOWEST_BIT = np.zeros(64, np.int64)
for _bit in range(64):
    _LOWEST_BIT[((0x03F79D71B4CB0A89 << _bit) & (2**64 - 1)) >> 58] = _bit


class Ages(NamedTuple):
    """How old the rows of a table are at a cut-off: (cutoff − times[row]) · decay.

    Attributes:
        times: (rows,) nanoseconds.
        cutoff: Nanoseconds.
        decay: Age per nanosecond.
    """

    times: Array
    cutoff: int
    decay: float


@compiled
def mix(x: np.uint64) -> np.uint64:
    """A bijective scrambling of 64 bits (Steele, Lea & Flood, Fast splittable pseudorandom number generators, 2014)."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@compiled
def stream(seed: np.uint64, cutoff: Integer, step: Integer, row: Integer) -> np.uint64:
    """The start of the random numbers that belong to one row, step and cut-off; each further one is `GOLDEN` more."""
    key = mix(seed + GOLDEN + np.uint64(cutoff))
    key = mix(key + GOLDEN + np.uint64(step))
    return mix(key + GOLDEN + np.uint64(row))


@compiled
def number_below(count: Integer, key: np.uint64) -> int:
    """One of the numbers 0 … count − 1, each equally likely over the keys."""
    return int(np.float64(mix(key) >> _S11) * _UNIT * count)


@compiled
def pick_uniform(n: int, k: int, key: np.uint64, bits: Array, out: Array) -> None:
    """out[:k] = k of the positions 0 … n−1, each set equally likely, ascending (Floyd's algorithm).

    Args:
        bits: (n / 64, rounded up, or more) zeros, which are zeros again afterwards.
    """
    for i in range(k):
        j = n - k + i
        key += GOLDEN
        drawn = number_below(j + 1, key)
        mask = _ONE << np.uint64(drawn & _SIX_BITS)
        if bits[drawn >> 6] & mask != _ZERO:
            drawn = j
            mask = _ONE << np.uint64(drawn & _SIX_BITS)
        bits[drawn >> 6] |= mask
        out[i] = drawn
    words = (n + 63) >> 6
    if words <= 8 * k:
        found = 0
        for w in range(words):
            word = bits[w]
            while word != _ZERO:
                lowest = word & (~word + _ONE)
                out[found] = (w << 6) + _LOWEST_BIT[(lowest * _BRUIJN) >> _S58]
                found += 1
                word ^= lowest
            bits[w] = _ZERO
    else:
        for i in range(k):
            bits[out[i] >> 6] = _ZERO
        out[:k].sort()


@compiled
def pick_decayed(children: Array, k: int, key: np.uint64, ages: Ages, out: Array, weights: Array) -> None:
    """out[:k] = k positions of `children` drawn one after another with weight exp(−age), ascending.

    The k largest of −age + Gumbel noise are such a draw (Kool, van Hoof & Welling, Stochastic beams and where to find them,
    2019). The walk starts at the youngest, so the weight last computed bounds those to come: most rows are refused by
    their noise alone, without a look at their time, and the walk ends where no noise could suffice.

    Args:
        children: (n,) rows of a timed table, ascending, all visible.
        weights: Memory for k values at least.
    """
    times, cutoff, decay = ages
    held, enough = 0, 2.0
    for back in range(len(children)):
        at = len(children) - 1 - back
        noise = (np.float64(mix(key + GOLDEN * np.uint64(at + 1)) >> _S11) + 0.5) * _UNIT
        # −log(noise) ≥ 1 − noise, and only −log(noise) < weight · exp(−smallest held) enters
        if 1.0 - noise > enough:
            if enough < _HALF_UNIT:
                break
            continue
        age = np.float64(cutoff - times[children[at]]) * decay
        value = -age - np.log(-np.log(noise))
        if held < k:
            _push(weights, out, held, value, at)
            held += 1
        elif value > weights[0]:
            _replace_least(weights, out, k, value, at)
        if held == k:
            enough = np.exp(-weights[0] - age) * (1.0 + 1e-9)
    out[:k].sort()


@compiled
def _push(heap: Array, positions: Array, held: int, value: float, position: int) -> None:
    """Add a value to a heap of `held`, the least first, and its position to theirs."""
    child = held
    while child > 0 and heap[(child - 1) >> 1] > value:
        parent = (child - 1) >> 1
        heap[child], positions[child] = heap[parent], positions[parent]
        child = parent
    heap[child], positions[child] = value, position


@compiled
def _replace_least(heap: Array, positions: Array, held: int, value: float, position: int) -> None:
    """Put a value in the place of the least of a heap of `held`."""
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= held:
            break
        if child + 1 < held and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[hole], positions[hole] = heap[child], positions[child]
        hole = child
    heap[hole], positions[hole] = value, position
