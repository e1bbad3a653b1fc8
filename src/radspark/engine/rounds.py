"""From one state to the next: a round is tried until it ends, with the workers that are there."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from types import TracebackType

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from radspark.engine.collective import CollectiveSynchronizer
from radspark.engine.feeding import RoundJob
from radspark.engine.history import RoundRecord
from radspark.engine.jobs import after, cancellable, worker_profile
from radspark.engine.observer import Observer
from radspark.engine.replies import RoundLostError, RoundReply
from radspark.engine.sliced import SlicedSynchronizer
from radspark.engine.slots import WAIT_SECONDS, count_room, is_elastic, wait_for_room
from radspark.errors import TrainingError
from radspark.frames.described import described
from radspark.samples.feed import IndexedSamples
from radspark.settings import TrainingSettings
from radspark.training.round import RoundSpec, StepRecord
from radspark.training.state import PackedState

logger = logging.getLogger(__name__)

CLEANING = "radspark: removing the run's caches"
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
        synchronizer = SlicedSynchronizer if settings.synchronizer == "sliced" else CollectiveSynchronizer
        self._profile = worker_profile(spark, settings)
        self._synchronizer = synchronizer(spark, samples, self._tell_step, self._profile)

    def next(
        self, state: PackedState, *, spec: RoundSpec, description: str
    ) -> tuple[RoundReply, PackedState, RoundRecord]:
        """Run rounds from the same state until one ends.

        Raises:
            TrainingError: `max_round_failures` more in a row did not, or samples do not fit on an executor.
            UserCodeError: the user's own code raised on a worker.
            SetupError: a worker cannot use the GPU that it was granted.
        """
        started = time.monotonic()
        failures = 0
        while True:
            job = self._job(self._count_workers(), description.partition(":")[0])
            try:
                with described(self._spark, description):
                    reply, new_state = self._synchronizer.run(state, job=job, spec=spec, description=description)
                break
            except RoundLostError as error:
                failures += 1
                self._tell_failure(error, state.step, failures)
        self._num_workers = job.num_workers
        record = RoundRecord(
            first_step=state.step,
            num_steps=len(reply.steps),
            num_workers=job.num_workers,
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
        try:
            with (
                described(self._spark, CLEANING),
                cancellable(self._spark) as cancel,
                after(CLEANING_SECONDS, cancel),
            ):
                self._synchronizer.remove_caches(self._job(self._num_workers, CLEANING))
        except (PySparkException, Py4JError, OSError) as failure:
            logger.info("the executors' caches stay until the executors end (%s)", type(failure).__name__)

    def _job(self, num_workers: int, round_name: str) -> RoundJob:
        return RoundJob(
            run_id=self._run_id,
            round_name=round_name,
            num_workers=num_workers,
            num_shards=self._num_shards,
            image_size=self._samples.image_size,
            num_findings=self._num_findings,
            samples={split: counts.readable for split, counts in self._samples.counts.items()},
            fed=frozenset(range(self._num_shards)),
            cores_per_worker=self._settings.cores_per_worker,
            cache_level=self._settings.cache_level,
            cache_gb=self._settings.cache_gb,
        )

    def _count_workers(self) -> int:
        """As many as are wanted and there is room for; fewer than before only after a wait for executors to return."""
        if is_elastic(self._spark):
            return self._num_workers
        room = count_room(self._spark, self._settings, self._profile)
        if room is not None and room < self._num_workers:
            room = wait_for_room(self._spark, self._num_workers, self._settings, self._profile)
        if room is None:
            return self._num_workers
        if room == 0:
            raise TrainingError(
                f"no executor is left, and none came for {WAIT_SECONDS:.0f} s; the last checkpoint is whole: resume "
                "when the cluster is well."
            )
        return min(room, self._settings.num_workers or room, self._num_shards)

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
