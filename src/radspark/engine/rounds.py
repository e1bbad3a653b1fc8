"""From one state to the next: a round is tried until it ends, with the workers and the samples that are there."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from radspark.engine.caches import remove_caches
from radspark.engine.channel import DriverEnd
from radspark.engine.history import RoundRecord
from radspark.engine.jobs import after, cancellable
from radspark.engine.observer import Observer
from radspark.engine.slots import WAIT_SECONDS, count_room, driver_host, wait_for_room
from radspark.engine.spark_round import RoundLostError, RoundReply, run_spark_round
from radspark.engine.worker import RoundJob
from radspark.errors import TrainingError
from radspark.samples.feed import IndexedSamples
from radspark.settings import TrainingSettings
from radspark.training.round import RoundSpec, StepRecord
from radspark.training.state import PackedState

logger = logging.getLogger(__name__)

MAX_STATE_GROWTH = 8
"""A state comes back larger than it went by an optimizer's moments, twice the weights for Adam; no more is taken."""
GRACE_SECONDS = 20.0
"""For the other workers of a broken round to end by themselves and tell why; then its job is cancelled."""
CLEANING_SECONDS = 30.0
"""For executors to remove a run's caches."""


class Rounds:
    """Runs the rounds of one run, as a `with` block: on exit the executors' caches of its samples are removed."""

    def __init__(
        self,
        spark: SparkSession,
        samples: IndexedSamples,
        *,
        settings: TrainingSettings,
        num_findings: int,
        num_shards: int,
        num_workers: int,
        observers: Sequence[Observer],
    ) -> None:
        self._spark = spark
        self._samples = samples
        self._settings = settings
        self._num_findings = num_findings
        self._num_shards = num_shards
        self._num_workers = num_workers
        self._observers = observers
        self._run_id = secrets.token_hex(8)
        self._to_feed = frozenset(range(num_shards))
        """Shards to send with the next job. Workers are asked what they lack once a job with them has failed."""
        self._host = driver_host(spark)

    def next(
        self, state: PackedState, *, spec: RoundSpec, description: str
    ) -> tuple[RoundReply, PackedState, RoundRecord]:
        """Run rounds from the same state until one ends.

        Raises:
            TrainingError: `max_round_failures` more in a row did not, or a worker's disk is full.
            UserCodeError: the user's own code raised on a worker.
        """
        started = time.monotonic()
        failures = 0
        while True:
            num_workers = self._count_workers()
            try:
                reply, new_state = self._attempt(state, spec=spec, num_workers=num_workers, description=description)
            except RoundLostError as error:
                failures += 1
                self._tell_failure(error, state.step, failures)
                self._to_feed = frozenset()
                continue
            self._num_workers = num_workers
            self._to_feed = reply.missing
            if not reply.missing:
                break
        record = RoundRecord(
            first_step=state.step,
            num_steps=len(reply.steps),
            num_workers=num_workers,
            seconds=time.monotonic() - started,
            training_seconds=sum(step.seconds for step in reply.steps),
            failures=failures,
        )
        return reply, new_state, record

    def __enter__(self) -> Rounds:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what the executors keep of the samples; those that do not answer in time keep it until they end."""
        num_tasks = count_room(self._spark, 1) or self._num_workers
        tasks = self._spark.range(0, num_tasks, 1, num_tasks)
        task = partial(remove_caches, run_id=self._run_id, level=self._settings.cache_level)
        try:
            with cancellable(self._spark) as cancel, after(CLEANING_SECONDS, cancel):
                tasks.mapInArrow(task, "id long", barrier=True).collect()
        except (PySparkException, Py4JError, OSError) as failure:
            logger.info("the executors' caches stay until the executors end (%s)", type(failure).__name__)

    def _count_workers(self) -> int:
        """As many as are wanted and there is room for; fewer than before only after a wait for executors to return."""
        room = count_room(self._spark, self._settings.cores_per_worker)
        if room is not None and room < self._num_workers:
            room = wait_for_room(self._spark, self._num_workers, cores_per_worker=self._settings.cores_per_worker)
        if room is None:
            return self._num_workers
        if room == 0:
            raise TrainingError(
                f"no executor is left, and none came for {WAIT_SECONDS:.0f} s; the last checkpoint is whole: resume "
                "when the cluster is well."
            )
        return min(room, self._settings.num_workers or room, self._num_shards)

    def _attempt(
        self, state: PackedState, *, spec: RoundSpec, num_workers: int, description: str
    ) -> tuple[RoundReply, PackedState]:
        fed = frozenset(range(self._num_shards)) if self._settings.cache_level == "none" else self._to_feed

        def make_frame() -> DataFrame:
            if fed:
                return self._samples.feed(num_shards=self._num_shards, num_workers=num_workers, shards=fed)
            return self._spark.range(0, num_workers, 1, num_workers)

        with (
            cancellable(self._spark) as cancel,
            ExitStack() as stack,
            DriverEnd(
                self._host,
                num_workers=num_workers,
                state=state.data,
                max_state_bytes=MAX_STATE_GROWTH * len(state.data),
                on_step=self._tell_step,
                on_broken=lambda: stack.enter_context(after(GRACE_SECONDS, cancel)),
            ) as line,
        ):
            job = RoundJob(
                run_id=self._run_id,
                num_workers=num_workers,
                num_shards=self._num_shards,
                image_size=self._samples.image_size,
                num_findings=self._num_findings,
                samples={split: counts.readable for split, counts in self._samples.counts.items()},
                fed=fed,
                cores_per_worker=self._settings.cores_per_worker,
                cache_level=self._settings.cache_level,
                driver=line.address,
                token=line.token,
            )
            try:
                reply = run_spark_round(self._spark, make_frame=make_frame, job=job, spec=spec, description=description)
            except RoundLostError as error:
                raise RoundLostError(line.broken or str(error)) from error
            if fed & reply.missing:
                raise RoundLostError("samples were lost after they had been sent")
            if reply.missing:
                return reply, state
            if line.new_state is None:
                raise RoundLostError("no worker handed in the new state")
            return reply, PackedState.read(line.new_state)

    def _tell_step(self, step: StepRecord) -> None:
        for observer in self._observers:
            observer.step_done(step)

    def _tell_failure(self, error: RoundLostError, step: int, failures: int) -> None:
        logger.warning("round from step %d failed (%d in a row): %s", step, failures, error)
        for observer in self._observers:
            observer.round_failed(str(error), failures=failures)
        if failures > self._settings.max_round_failures:
            raise TrainingError(
                f"{failures} rounds in a row failed at step {step}; the last one: {error}. "
                "The checkpoint before it is whole: resume when the cluster is well."
            ) from error
