"""Draws that depend on seed, epoch and key alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from scipy import stats

from radspark.nn.draws import _mix, uniform_draws

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, size=20_000, dtype=np.int64)


def test_mix_is_splitmix64() -> None:
    # The first outputs of the reference implementation (Vigna, splitmix64.c) from state 1234567.
    golden = np.uint64(0x9E3779B97F4A7C15)
    states = np.array([1234567], dtype=np.uint64) + np.arange(3, dtype=np.uint64) * golden

    assert _mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_uniform_and_uncorrelated() -> None:
    draws = uniform_draws(seed=0, epoch=0, keys_N=KEYS, num_draws=4)

    assert all(stats.kstest(column, "uniform").pvalue > 1e-3 for column in draws.T)
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.03


def test_neighboring_keys_draw_independently() -> None:
    draws = uniform_draws(seed=0, epoch=0, keys_N=np.arange(20_000, dtype=np.int64), num_draws=1)[:, 0]

    assert stats.kstest(draws, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.03


def test_seed_epoch_and_key_each_change_the_draws() -> None:
    first = uniform_draws(seed=1, epoch=2, keys_N=KEYS[:4], num_draws=3)

    for seed, epoch in [(2, 2), (1, 3), (2, 1)]:
        assert not np.isin(uniform_draws(seed=seed, epoch=epoch, keys_N=KEYS[:4], num_draws=3), first).any()
    assert len(np.unique(first)) == first.size


@given(
    keys=stnp.arrays(np.int64, st.integers(1, 20)),
    seed=st.integers(-(2**70), 2**70),
    epoch=st.integers(0, 10_000),
)
def test_each_row_is_what_it_is_alone(keys: np.ndarray, seed: int, epoch: int) -> None:
    together = uniform_draws(seed=seed, epoch=epoch, keys_N=keys, num_draws=5)
    alone = [uniform_draws(seed=seed, epoch=epoch, keys_N=keys[i : i + 1], num_draws=5)[0] for i in range(len(keys))]

    assert (together == np.array(alone)).all()
    assert ((together >= 0) & (together < 1)).all()
