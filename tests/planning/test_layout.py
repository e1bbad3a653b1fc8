"""How a job is laid out on a cluster, beside the talk's rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_job import CLUSTER, JOB, LOAD, MACHINE

from radspark.errors import ArgumentError
from radspark.planning.cost import step_cost
from radspark.planning.description import Cluster
from radspark.planning.layout import MAX_SYNCHRONIZATION, deck_rules, plan_layout, spared_cores

DECK = Cluster(nodes=16, cores=32, memory_gb=192, network_gbits=10)


def test_two_cores_are_spared_where_they_are_an_eighth_at_most() -> None:
    assert [spared_cores(cores) for cores in (2, 7, 8, 15, 16, 32)] == [0, 0, 1, 1, 2, 2]


def test_on_the_talks_cluster_the_rules_for_executors_and_cores_agree() -> None:
    executors, cores, memory = deck_rules(JOB, DECK, plan_layout(JOB, DECK, LOAD, MACHINE))
    assert (executors.deck, executors.plan, executors.remark) == ("16", "16", "the same")
    assert (cores.deck, cores.plan, cores.remark) == ("30", "30", "the same")
    assert memory.deck != memory.plan


def test_on_two_cores_the_talks_rule_would_leave_none() -> None:
    _, cores, _ = deck_rules(JOB, CLUSTER, plan_layout(JOB, CLUSTER, LOAD, MACHINE))
    assert (cores.deck, cores.plan, cores.remark) == ("1", "2", "two of 2 cores would cost 100% of the speed")


def test_memory_bounds_the_workers_of_a_node() -> None:
    layout = plan_layout(JOB, replace(DECK, memory_gb=16), LOAD, MACHINE)
    assert layout.workers_per_executor < 30
    assert layout.executor_gb <= 16


def test_a_node_without_room_for_one_worker_is_refused_with_what_it_needs() -> None:
    with pytest.raises(ArgumentError, match=r"a worker needs .* GB .* a node has 2 GB; lower --micro-batch-size"):
        plan_layout(JOB, replace(DECK, memory_gb=2), LOAD, MACHINE)


def test_the_chosen_batch_is_the_smallest_with_little_synchronization() -> None:
    layout = plan_layout(JOB, DECK, LOAD, MACHINE)
    chosen, half = (
        step_cost(JOB, DECK, LOAD, MACHINE, workers=layout.workers, batch_size=size).synchronization
        for size in (layout.batch_size, layout.batch_size // 2)
    )
    assert chosen <= MAX_SYNCHRONIZATION < half


def test_sparks_settings_give_each_worker_a_core_and_its_memory() -> None:
    layout = plan_layout(JOB, DECK, LOAD, MACHINE)
    conf = layout.spark_conf()
    assert (conf["spark.executor.instances"], conf["spark.executor.cores"]) == ("16", "30")
    assert int(conf["spark.executor.memoryOverhead"][:-1]) * 2**20 >= 30 * layout.worker_gb * 1e9
    assert "spark.executor.resource.gpu.amount" not in conf
