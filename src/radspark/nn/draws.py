"""Random numbers that depend on what they are for, not on when they are drawn: SplitMix64 as a function of a counter.

Each row of draws is a pure function of (seed, epoch, key), so one image's augmentation is the same in any batch, in any
order, on any number of workers. Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def uniform_draws(*, seed: int, epoch: int, keys_N: NDArray[np.int64], num_draws: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), shape (N, num_draws)."""
    state_N = _mix(keys_N.astype(np.uint64) ^ _mix(_mix(_word(seed)) + _word(epoch)))
    steps = np.arange(1, num_draws + 1, dtype=np.uint64) * _GOLDEN_GAMMA
    bits = _mix(state_N[:, np.newaxis] + steps)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _word(value: int) -> NDArray[np.uint64]:
    """An integer of any sign or size as one 64-bit word; an array, as numpy warns when scalars wrap around."""
    return np.array([value & 0xFFFF_FFFF_FFFF_FFFF], dtype=np.uint64)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64, with one step of the state before it."""
    z = words + _GOLDEN_GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
