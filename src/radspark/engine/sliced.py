"""The sliced synchronizer: each step is an ordinary Spark job of two stages, with no barrier and no open port.

Task w of the first stage reads all slices of the weights from Spark's storage, computes the gradients of worker w's
shards, and writes them to Spark's shuffle cut into slices. Task n of the second adds up what all workers sent for slice
n and updates it with its own slice of the optimizer's state. The new slices stay in Spark's storage, replicated, with
no memory of how they were made; the driver sees measures only. After a round's last step it collects the slices.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from py4j.protocol import Py4JError
from pyspark import RDD, AccumulatorParam, StorageLevel
from pyspark.core.broadcast import Broadcast
from pyspark.errors import PySparkException
from pyspark.resource import ResourceProfile
from pyspark.serializers import BatchedSerializer, CPickleSerializer
from pyspark.sql import SparkSession

from radspark.engine import sliced_tasks as tasks
from radspark.engine.caches import remove_cache
from radspark.engine.feeding import RoundJob
from radspark.engine.replies import GRAVEST_FIRST, RoundLostError, RoundReply, explain, failure
from radspark.engine.sliced_tasks import Failure, SlicedJob
from radspark.frames.described import described
from radspark.samples.feed import IndexedSamples
from radspark.training.gradients import ShardGradients
from radspark.training.round import RoundSpec, StepRecord, choose_learner
from radspark.training.slices import SlicePlan, join_moments, set_weights
from radspark.training.state import PackedState, TrainingState

ONE_BY_ONE = BatchedSerializer(CPickleSerializer(), 1)  # type: ignore[no-untyped-call]
"""Elements are chunks: none waits for others to fill a batch, and all RDDs that are put together have the same form."""
STORAGE = StorageLevel.MEMORY_AND_DISK_2


class SlicedSynchronizer:
    """Runs rounds of one run, each step in one Spark job."""

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
        self._places: RDD[Failure | None] | None = None
        """One element a worker, kept by the executor that holds its samples: Spark runs its tasks there, and where
        that executor is lost, makes element and samples again on another."""
        self._num_workers = 0
        self._times_sent = 0

    def run(
        self, state: PackedState, *, job: RoundJob, spec: RoundSpec, description: str
    ) -> tuple[RoundReply, PackedState]:
        """Run one round.

        Raises:
            RoundLostError: samples or slices were lost with their executors.
            UserCodeError: a worker raised; its traceback is in the message.
            TrainingError: samples do not fit on an executor.
        """
        if self._num_workers != job.num_workers:
            self._forget_places()
        if self._places is None:
            self._times_sent += 1
        task = SlicedJob(secrets.token_hex(8), job, spec, num_slices=job.num_workers, times_sent=self._times_sent)
        context = self._spark.sparkContext
        sent = context.broadcast(bytes(state.data))
        try:
            places = self._place(task)
            with SlicedRound(self._spark, task, places, sent, description=description, profile=self._profile) as round_:
                steps = list(self._steps(round_, spec))
                done = spec.first_step + len(steps)
                scores = round_.scores() if done % spec.plan.steps_per_epoch == 0 else []
                return RoundReply.of(steps, scores, job.num_findings), round_.collect(state, step=done)
        except (PySparkException, Py4JError, RoundLostError) as error:
            self._forget_places()
            raise (error if isinstance(error, RoundLostError) else explain(str(error))) from error
        finally:
            if job.cache_level == "none":
                self.remove_caches(job)
            sent.destroy()

    def remove_caches(self, job: RoundJob) -> None:
        """Remove what the executors keep of the samples."""
        if self._places is not None:
            self._places.foreachPartition(partial(remove_cache, run_id=job.run_id, level=job.cache_level))
            self._forget_places()

    def _place(self, task: SlicedJob) -> RDD[Failure | None]:
        """Send the samples to as many workers as there are now, unless they have them."""
        if self._places is None:
            job = task.job
            rows = self._samples.feed(num_shards=job.num_shards, num_workers=job.num_workers, shards=job.fed)
            filled = rows.mapInArrow(partial(tasks.fill_shards, task=task), tasks.PLACE_SCHEMA)
            places: RDD[Failure | None] = filled.rdd.mapPartitions(tasks.to_place)._reserialize(ONE_BY_ONE)
            self._places = _at(places, self._profile).persist()
            self._num_workers = job.num_workers
        return self._places

    def _forget_places(self) -> None:
        if self._places is not None:
            self._places.unpersist()
            self._places = None

    def _steps(self, round_: SlicedRound, spec: RoundSpec) -> Iterator[StepRecord]:
        """Steps to the end of the epoch, or until the time is over."""
        started = last = time.monotonic()
        for offset, rate in enumerate(spec.learning_rates):
            is_finite, loss_sum, num_samples = round_.step(offset, rate)
            now = time.monotonic()
            record = StepRecord(
                step=spec.first_step + offset + 1,
                loss=loss_sum / num_samples,
                num_samples=int(num_samples),
                learning_rate=rate,
                seconds=now - last,
                was_applied=is_finite,
            )
            self._on_step(record)
            yield record
            last = now
            if now - started > spec.seconds:
                break


class SlicedRound:
    """The RDDs of one round, as a `with` block: Spark gives back what they keep when it ends."""

    def __init__(
        self,
        spark: SparkSession,
        task: SlicedJob,
        places: RDD[Failure | None],
        state: Broadcast[bytes],
        *,
        description: str,
        profile: ResourceProfile | None,
    ) -> None:
        """Put the first state's slices into Spark's storage."""
        self._spark = spark
        self._context = spark.sparkContext
        self._task = task
        self._places = places
        self._sent = state
        self._description = description
        self._profile = profile
        self._told = self._context.accumulator([], _Lists())
        self._network, self._statistics, self._plan, self._counters = _measure(task)
        self._offset = 0

    def __enter__(self) -> SlicedRound:
        numbers = self._context.parallelize([(n, None) for n in range(self._task.num_slices)], self._task.num_slices)
        first = numbers.partitionBy(self._task.num_slices, _as_it_is).mapPartitionsWithIndex(
            partial(tasks.first_slice, task=self._task, state=self._sent), preservesPartitioning=True
        )
        self._state, self._weights = self._keep(first)
        try:
            self._run("start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for kept in (self._state, self._weights):
            kept.unpersist()

    def step(self, offset: int, rate: float) -> tuple[bool, float, float]:
        """Take a step; gives whether the gradients were finite, and the sums of loss and samples.

        Args:
            offset: steps of the round that are done.
        """
        gradients = self._on_workers(tasks.send_gradients, offset).partitionBy(self._task.num_slices, _as_it_is)
        # What partitionBy gives has lists of elements, too, of whatever length.
        messages: RDD[Any] = RDD(gradients._jrdd, self._context, ONE_BY_ONE)
        messages.partitioner = self._state.partitioner
        # Both are partitioned alike: Spark puts partition n to partition n, and nothing moves.
        updated = messages.union(self._state).mapPartitionsWithIndex(
            partial(tasks.update, task=self._task, plan=self._plan, rate=rate, told=self._told),
            preservesPartitioning=True,
        )
        before = (self._state, self._weights)
        known = len(self._told.value)
        self._state, self._weights = self._keep(updated)
        try:
            self._run(f"step {self._task.spec.first_step + offset + 1}")
        finally:
            for kept in before:
                kept.unpersist()
        _remove_shuffle(self._context, gradients)
        self._offset = offset + 1
        told = self._told.value[known:]
        _check(told)
        if not told:
            # Its executor died when slice 0 had been copied: Spark took the copy, and did not run what tells.
            raise RoundLostError("what a step measured was lost with an executor")
        return told[-1]  # type: ignore[no-any-return]

    def scores(self) -> list[bytes]:
        """Labels and probabilities of the validation samples, by the weights of now."""
        with described(self._spark, f"{self._description}, validation"):
            scores = self._on_workers(tasks.score, self._offset).collect()
        _check(scores)
        return scores

    def collect(self, before: PackedState, *, step: int) -> PackedState:
        """The state of now, on the driver.

        Args:
            before: that the round started from; what is not trained is taken from it.
        """
        with described(self._spark, f"{self._description}, state"):
            slices = tasks.read_slices(self._state.toLocalIterator())
        self._network.load_state_dict(dict(before.unpack().network))
        set_weights(slices, self._plan, network=self._network, statistics=self._statistics)
        self._counters.add_(self._offset)
        moments = join_moments(slices, network=self._network)
        return TrainingState(network=self._network.state_dict(), optimizer=moments, step=step).pack()

    def _on_workers(self, function: Callable[..., Iterator[Any]], offset: int) -> RDD[Any]:
        """Partition w is worker w, which reads all weights."""
        # CartesianRDD gives each place every chunk of the one partition. `keys` of `zipWithIndex` changes nothing but
        # that Spark does not know where the weights are: where the samples are is what counts.
        whole: RDD[Any] = RDD(self._weights.coalesce(1)._jrdd.zipWithIndex().keys(), self._context, ONE_BY_ONE)
        work = partial(function, task=self._task, state=self._sent, offset=offset)
        return _at(self._places.cartesian(whole).mapPartitionsWithIndex(work), self._profile)

    def _keep(self, state: RDD[Any]) -> tuple[RDD[Any], RDD[Any]]:
        """The state's slices, and the weights alone, kept once they have been made; then their past is forgotten."""
        kept = _at(state._reserialize(ONE_BY_ONE), self._profile).persist(STORAGE)
        weights = kept.mapPartitions(tasks.weights_alone)._reserialize(ONE_BY_ONE).persist(STORAGE)
        kept.localCheckpoint()
        weights.localCheckpoint()
        return kept, weights

    def _run(self, what: str) -> None:
        """Make what is kept: counting is what Spark's JVM can do by itself."""
        with described(self._spark, f"{self._description}, {what}"):
            self._weights._jrdd.count()


class _Lists(AccumulatorParam[list[Any]]):
    def zero(self, value: list[Any]) -> list[Any]:
        return []

    def addInPlace(self, value1: list[Any], value2: list[Any]) -> list[Any]:  # noqa: N802  its name in pyspark
        return value1 + value2


def _as_it_is(number: int) -> int:
    """The partition of a slice."""
    return number


def _at(rdd: RDD[Any], profile: ResourceProfile | None) -> RDD[Any]:
    return rdd if profile is None else rdd.withResources(profile)


def _check(told: list[Any]) -> None:
    """Raise the gravest failure that a task told of, if any did."""
    failures = [item for item in told if isinstance(item, Failure)]
    for kind in GRAVEST_FIRST:
        for item in failures:
            if item.kind == kind:
                raise failure(kind, item.text)


def _measure(task: SlicedJob) -> tuple[Any, torch.Tensor, SlicePlan, torch.Tensor]:
    """A network of the run's kind, its running statistics as a vector, the slices, and the counters of steps."""
    network = task.spec.build_network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner, _ = choose_learner(network, task.spec)
    sums = ShardGradients(learner, positive_weights_C=None, precision=torch.float32)
    plan = SlicePlan.of(sums, network, network.head_parameters(), task.num_slices)
    return network, sums.statistics, plan, sums.counters


def _remove_shuffle(context: Any, shuffled: RDD[Any]) -> None:
    """Remove the files of a step's gradients: else they stay until the JVM of the driver happens to clean up."""
    cleaner = context._jsc.sc().cleaner()
    if cleaner.isDefined():
        shuffle = shuffled._jrdd.rdd().dependencies().head().rdd().dependencies().head()
        cleaner.get().doCleanupShuffle(shuffle.shuffleId(), False)
