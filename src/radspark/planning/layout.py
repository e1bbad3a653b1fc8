"""How a job is laid out on a cluster: executors, memory, batch, Spark's settings; and the 2019 talk's rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

from radspark.errors import ArgumentError
from radspark.planning.cost import Workers, state_bytes, step_cost
from radspark.planning.description import GB, Cluster, Job, Workload
from radspark.planning.machine import Machine

WORKER_GB = 0.6
"""A worker's Python with torch and pyarrow, before it has a network."""
KEPT_FACTOR = 1.3
"""Peak of a backward pass beside the activations that it has kept."""
VECTORS = 4
"""Of the size of the weights, beside the state: gradients, what comes from others, their sum, a copy of weights."""
HEAP_GB = 1.0
HEAP_GB_PER_WORKER = 0.1
MAX_SYNCHRONIZATION = 0.05
"""Share of a step up to which a chosen batch lets waiting and exchange go."""
MOST_IMAGES = 64
"""Of a worker and step, that a chosen batch goes up to."""
DECK_SPARED_CORES = 2


@dataclass(frozen=True)
class Layout:
    """Executors and workers on a cluster, and what they need."""

    executors: int
    workers_per_executor: int
    num_shards: int
    batch_size: int
    worker_gb: float
    """Memory of a worker at its peak."""
    heap_gb: float
    """Of an executor's JVM."""
    on_gpus: bool = False
    """Each worker has one of its own."""

    @property
    def workers(self) -> Workers:
        """As `cost` takes them."""
        return Workers(self.executors, self.workers_per_executor, self.num_shards)

    @property
    def executor_gb(self) -> float:
        """JVM and workers."""
        return self.heap_gb + self.workers_per_executor * self.worker_gb

    def spark_conf(self) -> dict[str, str]:
        """What to give Spark with --conf; memory in MiB, rounded up."""
        gpus = {"spark.executor.resource.gpu.amount": str(self.workers_per_executor)} if self.on_gpus else {}
        return {
            "spark.executor.instances": str(self.executors),
            "spark.executor.cores": str(self.workers_per_executor),
            "spark.executor.memory": f"{_mebibytes(self.heap_gb)}m",
            "spark.executor.memoryOverhead": f"{_mebibytes(self.workers_per_executor * self.worker_gb)}m",
            **gpus,
            "spark.dynamicAllocation.enabled": "false",
        }


@dataclass(frozen=True)
class DeckRule:
    """A sizing rule of the 2019 talk beside the plan's own."""

    name: str
    deck: str
    plan: str
    remark: str


def spared_cores(cores: int) -> int:
    """Cores of a node left to the system and Spark: one of eight, two at most."""
    return min(DECK_SPARED_CORES, cores // 8)


def worker_gb(job: Job, load: Workload) -> float:
    """Peak memory of a worker: Python, state, vectors, and the activations of a micro-batch."""
    vectors = state_bytes(load, job.optimizer) + VECTORS * load.exchanged_bytes
    return WORKER_GB + (vectors + KEPT_FACTOR * load.kept_bytes * job.micro_batch_size) / GB


def plan_layout(job: Job, cluster: Cluster, load: Workload, machine: Machine) -> Layout:
    """Lay a job out: an executor for each node, and a worker for each GPU, or for each core that is not spared.

    Raises:
        ArgumentError: a node has no room for one worker.
    """
    each = worker_gb(job, load)
    wanted = cluster.gpus or cluster.cores - spared_cores(cluster.cores)
    room = int((cluster.memory_gb - HEAP_GB) / (each + HEAP_GB_PER_WORKER))
    if room < 1:
        raise ArgumentError(
            f"a worker needs {each:.1f} GB beside {HEAP_GB:.0f} GB for Spark, a node has {cluster.memory_gb:g} GB; "
            "lower --micro-batch-size."
        )
    per_executor = min(wanted, room)
    total = cluster.nodes * per_executor
    num_shards = job.num_shards or total
    workers = Workers(cluster.nodes, per_executor, num_shards)
    batch_size = job.batch_size or choose_batch(job, cluster, load, machine, workers=workers)
    return Layout(
        executors=cluster.nodes,
        workers_per_executor=per_executor,
        num_shards=num_shards,
        batch_size=batch_size,
        worker_gb=each,
        heap_gb=HEAP_GB + HEAP_GB_PER_WORKER * per_executor,
        on_gpus=cluster.gpus > 0,
    )


def choose_batch(job: Job, cluster: Cluster, load: Workload, machine: Machine, *, workers: Workers) -> int:
    """The smallest batch, in powers of two a worker, at which synchronization is at most a twentieth of a step."""
    images = 2
    while images < MOST_IMAGES:
        cost = step_cost(job, cluster, load, machine, workers=workers, batch_size=images * workers.total)
        if cost.synchronization <= MAX_SYNCHRONIZATION:
            break
        images *= 2
    return images * workers.total


def deck_rules(job: Job, cluster: Cluster, layout: Layout) -> list[DeckRule]:
    """The talk's three rules, and where the plan differs from them."""
    cores = max(1, cluster.cores - DECK_SPARED_CORES)
    partition_gb = job.images * job.prepared_size**2 / GB / (cluster.nodes * cores)
    deck_gb = cores * (layout.worker_gb + partition_gb)
    own = layout.workers_per_executor
    return [
        DeckRule("executors = nodes", str(cluster.nodes), str(layout.executors), "the same"),
        DeckRule(
            "cores of an executor = physical - 2", str(cores), str(own), _remark_on_cores(cluster, cores=cores, own=own)
        ),
        DeckRule(
            "memory = cores x (need + data partition)",
            f"{deck_gb:.1f} GB",
            f"{layout.executor_gb:.1f} GB",
            f"samples ({partition_gb:.3f} GB a core) lie on disk, mapped; in memory with --cache-level memory only",
        ),
    ]


def _remark_on_cores(cluster: Cluster, *, cores: int, own: int) -> str:
    if own == cores:
        return "the same"
    if cluster.gpus:
        return "a worker for each GPU"
    if own < cores:
        return f"memory has room for {own} workers"
    return f"two of {cluster.cores} cores would cost {DECK_SPARED_CORES / cluster.cores:.0%} of the speed"


def _mebibytes(gigabytes: float) -> int:
    return math.ceil(gigabytes * GB / 2**20)
