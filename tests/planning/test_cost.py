"""What steps and runs cost, against sums by hand, and shards on workers against the engine's own arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_job import CLUSTER, JOB, LOAD, MACHINE

from radspark.planning.cost import MESSAGE_SECONDS, Workers, exchange_seconds, run_cost, step_cost
from radspark.training.shards import shards_of_worker


def test_an_image_takes_the_sum_of_its_kinds_of_work() -> None:
    assert MACHINE.image_seconds(LOAD) == pytest.approx(0.1 + 0.1 + 0.1)


def test_one_worker_exchanges_nothing() -> None:
    assert exchange_seconds(LOAD, MACHINE, Workers(1, 1, 1), network_gbits=10) == (0, 0)


def test_a_vector_leaves_a_host_once_however_many_workers_it_has() -> None:
    _, narrow = exchange_seconds(LOAD, MACHINE, Workers(4, 1, 4), network_gbits=10)
    inside, wide = exchange_seconds(LOAD, MACHINE, Workers(4, 2, 8), network_gbits=10)
    assert inside == pytest.approx(2 * 0.5 * 0.1)
    assert wide == narrow == pytest.approx(2 * 0.75 * 0.8 / 10 + 6 * MESSAGE_SECONDS)


def test_a_step_is_computing_exchange_and_update() -> None:
    step = step_cost(JOB, CLUSTER, LOAD, MACHINE, workers=Workers(4, 2, 8), batch_size=80)
    assert (step.compute, step.wait) == (pytest.approx(10 * 0.3), 0)
    assert step.update == pytest.approx((5 + 4) * 0.1 / 10)
    assert step.synchronization == pytest.approx((step.exchange_inside + step.exchange_across) / step.seconds)


def test_the_worker_with_most_shards_sets_the_pace() -> None:
    even = step_cost(JOB, CLUSTER, LOAD, MACHINE, workers=Workers(4, 2, 8), batch_size=80)
    uneven = step_cost(JOB, CLUSTER, LOAD, MACHINE, workers=Workers(3, 2, 8), batch_size=80)
    assert uneven.compute == pytest.approx(2 * even.compute)


def test_a_run_reads_once_and_validates_each_epoch() -> None:
    job = replace(JOB, validation_images=800)
    cost = run_cost(job, CLUSTER, LOAD, MACHINE, workers=Workers(4, 2, 8), batch_size=80)
    step = step_cost(job, CLUSTER, LOAD, MACHINE, workers=Workers(4, 2, 8), batch_size=80)
    assert cost.steps == pytest.approx(2 * 100 * step.seconds)
    assert cost.reading == pytest.approx(8800 / (60 * 8))
    assert cost.validation == pytest.approx(2 * 800 * 0.25 * 0.3 / 8)


@given(hosts=st.integers(1, 9), per_host=st.integers(1, 9), num_shards=st.integers(1, 99))
def test_most_shards_and_balance_are_those_that_the_engine_deals_out(
    hosts: int, per_host: int, num_shards: int
) -> None:
    workers = Workers(hosts, per_host, num_shards)
    held = [
        len(shards_of_worker(rank, num_shards=num_shards, num_workers=workers.total)) for rank in range(workers.total)
    ]
    assert workers.most_shards == max(held)
    assert workers.balance == pytest.approx(sum(held) / len(held) / max(held))
