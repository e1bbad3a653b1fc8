"""The collective synchronizer: a round is one barrier stage whose tasks exchange gradients among themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame, SparkSession

from radspark.engine.caches import remove_caches
from radspark.engine.channel import DriverEnd
from radspark.engine.feeding import RoundJob
from radspark.engine.jobs import after, cancellable
from radspark.engine.replies import GRAVEST_FIRST, RoundLostError, RoundReply, explain, failure
from radspark.engine.slots import driver_host
from radspark.engine.worker import REPLY_SCHEMA, Line, run_worker
from radspark.frames.session import count_slots
from radspark.samples.feed import IndexedSamples
from radspark.training.round import RoundSpec, StepRecord
from radspark.training.state import PackedState

MAX_STATE_GROWTH = 8
"""A state comes back larger than it went by an optimizer's moments, twice the weights for Adam; no more is taken."""
GRACE_SECONDS = 20.0
"""For the other workers of a broken round to end by themselves and tell why; then its job is cancelled."""


class CollectiveSynchronizer:
    """Runs rounds of one run, each with its steps in one Spark job."""

    def __init__(
        self,
        spark: SparkSession,
        samples: IndexedSamples,
        on_step: Callable[[StepRecord], None],
        profile: ResourceProfile | None,
    ) -> None:
        """Prepare for a run; `profile` is what each worker's task asks of the cluster."""
        self._spark = spark
        self._samples = samples
        self._on_step = on_step
        self._profile = profile
        self._to_feed: frozenset[int] | None = None
        """Shards to send with the next job, None for all. Workers are asked what they lack once a job has failed."""
        self._host = driver_host(spark)

    def run(
        self, state: PackedState, *, job: RoundJob, spec: RoundSpec, description: str
    ) -> tuple[RoundReply, PackedState]:
        """Run one round.

        Raises:
            RoundLostError: a worker went away.
            UserCodeError: a worker raised; its traceback is in the message.
            TrainingError: samples do not fit on an executor.
            SetupError: a worker cannot use the GPU that it was granted.
        """
        every = job.fed
        while True:
            fed = every if self._to_feed is None or job.cache_level == "none" else self._to_feed
            try:
                rows, new_state = self._attempt(state, job=job.feeding(fed), spec=spec)
            except RoundLostError:
                self._to_feed = frozenset()
                raise
            rows = sorted(rows, key=lambda row: row["rank"])  # sums over validation samples have one order
            missing = frozenset(number for data in _payloads(rows, "missing") for number in json.loads(data))
            self._to_feed = missing
            if fed & missing:
                raise RoundLostError("samples were lost after they had been sent")
            if not missing:
                break
        if new_state is None:
            raise RoundLostError("no worker handed in the new state")
        steps = [StepRecord(**step) for step in json.loads(_payloads(rows, "steps")[0])]
        reply = RoundReply.of(steps, _payloads(rows, "scores"), job.num_findings)
        return reply, PackedState.read(new_state)

    def remove_caches(self, job: RoundJob) -> None:
        """Remove what the executors keep of the samples."""
        num_tasks = count_slots(self._spark) or job.num_workers
        tasks = self._spark.range(0, num_tasks, 1, num_tasks)
        task = partial(remove_caches, run_id=job.run_id, level=job.cache_level)
        tasks.mapInArrow(task, "id long", barrier=True).collect()

    def _attempt(
        self, state: PackedState, *, job: RoundJob, spec: RoundSpec
    ) -> tuple[list[Any], bytearray | bytes | None]:
        with (
            cancellable(self._spark) as cancel,
            ExitStack() as stack,
            DriverEnd(
                self._host,
                num_workers=job.num_workers,
                state=state.data,
                max_state_bytes=MAX_STATE_GROWTH * len(state.data),
                on_step=self._on_step,
                on_broken=lambda: stack.enter_context(after(GRACE_SECONDS, cancel)),
            ) as end,
        ):
            task = partial(run_worker, job=job, line=Line(end.address, end.token), spec=spec)
            try:
                rows = self._rows_to(job).mapInArrow(task, REPLY_SCHEMA, barrier=True, profile=self._profile).collect()
                told = [(row["kind"], bytes(row["payload"]).decode()) for row in rows if row["kind"] in GRAVEST_FIRST]
                if failed := _gravest(told):
                    raise failed
            except (PySparkException, Py4JError, RoundLostError) as error:
                reason = error if isinstance(error, RoundLostError) else _gravest(end.told) or explain(str(error))
                if isinstance(reason, RoundLostError):
                    reason = RoundLostError(end.broken or str(reason))
                raise reason from error
            return rows, end.new_state

    def _rows_to(self, job: RoundJob) -> DataFrame:
        """What the workers read: its partitions are the workers."""
        if job.fed:
            return self._samples.feed(num_shards=job.num_shards, num_workers=job.num_workers, shards=job.fed)
        return self._spark.range(0, job.num_workers, 1, job.num_workers)


def _gravest(told: list[tuple[str, str]]) -> Exception | None:
    """The gravest failure that a worker told of, if any did."""
    return next((failure(kind, text) for kind in GRAVEST_FIRST for other, text in told if other == kind), None)


def _payloads(rows: list[Any], kind: str) -> list[bytes]:
    return [bytes(row["payload"]) for row in rows if row["kind"] == kind]
