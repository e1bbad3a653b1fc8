"""Every sample once an epoch, no forward pass too small, and the same cut whatever the workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radspark.training.shards import (
    MIN_SAMPLES,
    ShardPlan,
    choose_num_shards,
    shard_sizes,
    shards_of_worker,
)

PLANS = st.builds(
    lambda samples, shards, batch, micro: ShardPlan(shard_sizes(samples, shards), batch, micro, seed=7),
    samples=st.integers(40, 300),
    shards=st.integers(1, 8),
    batch=st.integers(16, 400),
    micro=st.integers(2, 32),
)


@given(PLANS)
def test_an_epoch_takes_every_sample_once(plan: ShardPlan) -> None:
    for shard, size in enumerate(plan.sizes):
        taken = [plan.micro_batches(shard, epoch=0, step=step) for step in range(plan.steps_per_epoch)]
        flat = np.concatenate([indices for pieces in taken for indices in pieces])
        assert sorted(flat) == list(range(size))


@given(PLANS)
def test_no_forward_pass_is_too_small_for_batch_norm(plan: ShardPlan) -> None:
    sizes = [
        len(indices)
        for shard in range(len(plan.sizes))
        for step in range(plan.steps_per_epoch)
        for indices in plan.micro_batches(shard, epoch=1, step=step)
    ]
    assert min(sizes) >= MIN_SAMPLES


@given(PLANS, st.integers(0, 50))
def test_forward_passes_are_counted_and_none_is_too_large(plan: ShardPlan, step: int) -> None:
    step %= plan.steps_per_epoch
    for shard in range(len(plan.sizes)):
        sizes = [len(indices) for indices in plan.micro_batches(shard, epoch=0, step=step)]
        assert len(sizes) == plan.num_micro_batches(shard, step=step)
        assert max(sizes) <= max(plan.micro_batch_size, MIN_SAMPLES + 1)


@given(PLANS)
def test_steps_differ_by_at_most_one_sample_a_shard(plan: ShardPlan) -> None:
    for shard in range(len(plan.sizes)):
        totals = [sum(map(len, plan.micro_batches(shard, epoch=0, step=step))) for step in range(plan.steps_per_epoch)]
        assert max(totals) - min(totals) <= 1


def test_orders_differ_between_epochs_and_shards_and_repeat_for_a_seed() -> None:
    plan = ShardPlan((50, 50), 10, 10, seed=3)
    first = plan.epoch_order(0, epoch=0)
    assert (first == ShardPlan((50, 50), 10, 10, seed=3).epoch_order(0, epoch=0)).all()
    assert (first != plan.epoch_order(0, epoch=1)).any()
    assert (first != plan.epoch_order(1, epoch=0)).any()


def test_shard_sizes_are_those_of_positions_modulo() -> None:
    assert shard_sizes(11, 4) == tuple(len(range(11)[shard::4]) for shard in range(4))


@given(st.integers(1, 40), st.integers(1, 40))
def test_workers_share_out_all_shards(num_shards: int, num_workers: int) -> None:
    held = [s for w in range(num_workers) for s in shards_of_worker(w, num_shards=num_shards, num_workers=num_workers)]
    assert held == list(range(num_shards))


@pytest.mark.parametrize(
    ("samples", "batch", "workers", "expected"), [(1000, 64, 4, 4), (5, 64, 4, 2), (1000, 6, 4, 3), (1, 1, 4, 1)]
)
def test_small_sets_and_batches_get_fewer_shards(samples: int, batch: int, workers: int, expected: int) -> None:
    assert choose_num_shards(samples, batch_size=batch, num_workers=workers) == expected
