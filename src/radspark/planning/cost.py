"""What a step, a round and a run cost: pure functions of a job, a workload, a machine and the workers; docs/plan.md.

The exchange is that of `training.tree`: workers of a host first, then across hosts (decision 0020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from radspark.planning.description import GB, Cluster, Job, Workload
from radspark.planning.machine import Machine
from radspark.training.shards import shards_of_worker
from radspark.training.tree import blocks_of

MESSAGE_SECONDS = 100e-6
"""To start a message to another host and have it answered; a data center's Ethernet."""
ROUND_SECONDS = 2.0
"""A round's Spark job, group and checkpoint without what grows with the state."""
DECODED_PER_SECOND = 60.0
"""PNG radiographs of 1024 x 1024 that one core reads, scales and stores."""
PASSES = {"sgd": 5, "adam": 7, "adamw": 7, "lars": 9}
"""Times that an optimizer's update reads or writes a vector of the size of the weights."""
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "lars": 1}
"""Vectors of the size of the weights that an optimizer keeps."""
STEP_PASSES = 4
"""The same, for setting a gradient to zero, dividing it, and looking whether it is finite."""
SHARD_PASSES = 6
"""The same, for each further shard of a worker: zero, copy, add."""


@dataclass(frozen=True)
class Workers:
    """The workers of a round: as many on each host, and the shards that they share."""

    hosts: int
    per_host: int
    num_shards: int

    @property
    def total(self) -> int:
        """Over all hosts; never more than shards."""
        return min(self.hosts * self.per_host, self.num_shards)

    @property
    def most_shards(self) -> int:
        """Of the worker that holds most, which the others wait for."""
        return math.ceil(self.num_shards / self.total)

    @property
    def most_blocks(self) -> int:
        """Sums that a worker brings into an exchange: nodes of the tree of shards that it holds whole."""
        ranges = (shards_of_worker(i, num_shards=self.num_shards, num_workers=self.total) for i in range(self.total))
        return max(len(blocks_of(shards)) for shards in ranges)

    @property
    def balance(self) -> float:
        """Share of the time in which the mean worker computes, as the one with most shards sets the pace."""
        return self.num_shards / (self.total * self.most_shards)


@dataclass(frozen=True)
class StepCost:
    """Seconds of a step of the worker with most shards."""

    compute: float
    wait: float
    """For the slowest worker, beyond the mean."""
    exchange_inside: float
    """Between the workers of a host."""
    exchange_across: float
    """Between hosts."""
    update: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute + self.wait + self.exchange_inside + self.exchange_across + self.update

    @property
    def synchronization(self) -> float:
        """Share of a step that goes into waiting and exchange."""
        return (self.wait + self.exchange_inside + self.exchange_across) / self.seconds


@dataclass(frozen=True)
class RunCost:
    """Seconds of a whole run, by what they go into."""

    reading: float
    """Decoding all images once."""
    steps: float
    validation: float
    rounds: float
    """Starting and ending rounds."""

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.reading + self.steps + self.validation + self.rounds


def step_cost(
    job: Job, cluster: Cluster, load: Workload, machine: Machine, *, workers: Workers, batch_size: int
) -> StepCost:
    """The parts of one step."""
    images = workers.most_shards * batch_size / workers.num_shards
    compute = images * machine.image_seconds(load)
    inside, across = exchange_seconds(load, machine, workers, network_gbits=cluster.network_gbits)
    passes = PASSES[job.optimizer] + STEP_PASSES + SHARD_PASSES * (workers.most_shards - 1)
    return StepCost(
        compute=compute,
        wait=compute * machine.jitter * math.sqrt(2 * math.log(workers.total)),
        exchange_inside=inside,
        exchange_across=across,
        update=passes * load.exchanged_bytes / (GB * machine.update_gbytes),
    )


def exchange_seconds(
    load: Workload, machine: Machine, workers: Workers, *, network_gbits: float
) -> tuple[float, float]:
    """Seconds of one sum of gradients, inside the hosts and across them.

    With w workers on a host each sends (w - 1) / w of a vector of B bytes, and then as much of the sum. Across H hosts,
    2 (H - 1) / H of B leave each host, in 2 (H - 1) messages one after another. A worker whose shards are several nodes
    of the tree sends the first half once for each.
    """
    blocks = (workers.most_blocks + 1) / 2
    local = min(workers.per_host, workers.total)
    hosts = math.ceil(workers.total / local)
    inside = blocks * 2 * (local - 1) / local * load.exchanged_bytes / (GB * machine.loopback_gbytes)
    sent = blocks * 2 * (hosts - 1) / hosts * load.exchanged_bytes
    across = 8 * sent / (GB * network_gbits) + 2 * (hosts - 1) * MESSAGE_SECONDS
    return inside, across


def round_seconds(load: Workload, workers: Workers, *, network_gbits: float, optimizer: str) -> float:
    """From the last step of a round to the first of the next.

    The state goes from the driver to rank 0, from there to all hosts along a binary tree, and back to the driver.
    """
    trips = 2 + math.ceil(math.log2(workers.hosts)) if workers.hosts > 1 else 2
    return ROUND_SECONDS + trips * 8 * state_bytes(load, optimizer) / (GB * network_gbits)


def state_bytes(load: Workload, optimizer: str) -> float:
    """Of weights, statistics and moments."""
    return 4.0 * (load.num_weights * (1 + MOMENTS[optimizer]) + load.num_statistics)


def run_cost(
    job: Job, cluster: Cluster, load: Workload, machine: Machine, *, workers: Workers, batch_size: int
) -> RunCost:
    """The parts of a whole run; the last, short round of an epoch counts as one."""
    step = step_cost(job, cluster, load, machine, workers=workers, batch_size=batch_size)
    epoch = math.ceil(job.images / batch_size) * step.seconds
    rounds = math.ceil(epoch / (60 * job.round_minutes))
    each = round_seconds(load, workers, network_gbits=cluster.network_gbits, optimizer=job.optimizer)
    scoring = machine.image_seconds(load) * load.forward_share / workers.total
    return RunCost(
        reading=(job.images + job.validation_images) / (DECODED_PER_SECOND * cluster.nodes * cluster.cores),
        steps=job.epochs * epoch,
        validation=job.epochs * job.validation_images * scoring,
        rounds=job.epochs * rounds * each,
    )
