"""A plan as lines of name, value and formula, and the shards of a run on other numbers of workers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from radspark.planning.cost import RunCost, StepCost, Workers, run_cost, step_cost
from radspark.planning.description import Cluster, Job, Workload
from radspark.planning.layout import Layout
from radspark.planning.machine import Machine

HOUR = 3600.0


@dataclass(frozen=True)
class Line:
    """A figure and where it comes from."""

    name: str
    value: str
    formula: str


@dataclass(frozen=True)
class Balance:
    """A run's shards on so many workers."""

    workers: int
    most_shards: int
    balance: float
    """Share of the time in which the mean worker computes."""
    images_per_second: float


@dataclass(frozen=True)
class Plan:
    """All that a plan says."""

    job: Job
    cluster: Cluster
    load: Workload
    machine: Machine
    layout: Layout

    @property
    def step(self) -> StepCost:
        """Of the chosen layout and batch."""
        return self._step(self.layout.workers)

    @property
    def run(self) -> RunCost:
        """Of the whole job."""
        workers, batch_size = self.layout.workers, self.layout.batch_size
        return run_cost(self.job, self.cluster, self.load, self.machine, workers=workers, batch_size=batch_size)

    @property
    def images_per_second(self) -> float:
        """Of training steps."""
        return self.layout.batch_size / self.step.seconds

    def lines(self) -> list[Line]:
        """The table."""
        layout, step, run, cluster = self.layout, self.step, self.run, self.cluster
        update = step.update
        return [
            Line("executors", str(layout.executors), "nodes"),
            Line(
                "workers per executor",
                str(layout.workers_per_executor),
                "GPUs" if cluster.gpus else "physical cores - min(2, cores // 8), at most what memory has room for",
            ),
            Line("memory of a worker", f"{layout.worker_gb:.2f} GB", "Python + state + 4 vectors + kept activations"),
            Line("memory of an executor", f"{layout.executor_gb:.1f} GB", "heap + workers x memory of a worker"),
            Line("batch", str(layout.batch_size), "given, or the smallest of 2, 4, ... a worker with <= 5% synchr."),
            Line(
                "an image, one worker",
                f"{1000 * self.machine.image_seconds(self.load):.0f} ms",
                "FLOPs of each kind / its speed + bytes moved / speed",
            ),
            Line("a step", f"{step.seconds:.2f} s", "computing + waiting + exchange + update"),
            Line("  computing", f"{step.compute:.2f} s", "most shards of a worker x batch / shards x an image"),
            Line("  waiting", f"{step.wait:.3f} s", "jitter x sqrt(2 ln workers) x computing"),
            Line("  exchange in a host", f"{step.exchange_inside:.3f} s", "2 (w - 1) / w vectors / loopback"),
            Line(
                "  exchange across",
                f"{step.exchange_across:.3f} s",
                "2 (H - 1) / H vectors / network + 2 (H - 1) x 0.1 ms",
            ),
            Line("  update", f"{update:.3f} s", "passes of the optimizer x vector / memory speed"),
            Line("synchronization", f"{step.synchronization:.1%}", "(waiting + exchange) / step"),
            Line("images per second", f"{self.images_per_second:.1f}", "batch / step"),
            Line("reading, once", f"{run.reading / HOUR:.2f} h", "images / (60 per core and second x cores)"),
            Line("training", f"{run.steps / HOUR:.2f} h", "epochs x ceil(images / batch) x step"),
            Line(
                "validation", f"{run.validation / HOUR:.2f} h", "epochs x images x forward share x an image / workers"
            ),
            Line("rounds", f"{run.rounds / HOUR:.2f} h", "rounds x (2 s + trips x state / network)"),
            Line("in all", f"{run.seconds / HOUR:.2f} h", "the sum"),
        ]

    def balances(self) -> list[Balance]:
        """The planned shards on the planned workers, and on fewer: a lost executor, half of the nodes, one node."""
        own = self.layout.workers
        hosts = sorted({own.hosts, own.hosts - 1, own.hosts // 2, 1} - {0}, reverse=True)
        return [self._balance(replace(own, hosts=number)) for number in hosts]

    def _balance(self, workers: Workers) -> Balance:
        cost = self._step(workers)
        return Balance(
            workers=workers.total,
            most_shards=workers.most_shards,
            balance=workers.balance,
            images_per_second=self.layout.batch_size / cost.seconds,
        )

    def _step(self, workers: Workers) -> StepCost:
        batch_size = self.layout.batch_size
        return step_cost(self.job, self.cluster, self.load, self.machine, workers=workers, batch_size=batch_size)
