"""The driver's loop: rounds from state to state until the epochs are done; validation, schedule, checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from torch import nn

from radspark.engine.checkpoint import Checkpoint, CheckpointFolder, KeptWeights, ValidationScores
from radspark.engine.history import EpochRecord, OpenEpoch, RunRecord
from radspark.engine.observer import Observer, RunPlan
from radspark.engine.replies import RoundReply
from radspark.engine.rounds import Rounds
from radspark.errors import DataError, TrainingError
from radspark.labels import LabelSet
from radspark.metrics import METRICS, evaluate_scores
from radspark.nn.losses import balanced_positive_weights
from radspark.nn.network import XRayNetwork
from radspark.nn.optimizers import build_optimizer
from radspark.nn.schedules import Schedule
from radspark.nn.user_module import UserNetwork
from radspark.nn.watch import is_better
from radspark.samples.feed import IndexedSamples
from radspark.settings import Plateau, Recipe
from radspark.training.round import RoundSpec, StepRecord
from radspark.training.shards import ShardPlan, choose_num_shards, shard_sizes
from radspark.training.state import PackedState, capture

logger = logging.getLogger(__name__)

MAX_SKIPPED_STEPS = 10
"""Steps in a row without a finite gradient after which a run ends."""


@dataclass(frozen=True)
class TrainingResult:
    """The end of a run: the weights that are kept, and its history."""

    kept: KeptWeights
    record: RunRecord


class Run:
    """One training run on one set of samples."""

    def __init__(
        self,
        spark: SparkSession,
        samples: IndexedSamples,
        *,
        recipe: Recipe,
        labels: LabelSet,
        build_network: Callable[[], XRayNetwork | UserNetwork],
        num_workers: int,
        checkpoints: CheckpointFolder | None,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Prepare a run; `build_network` makes the network on workers, which fill it from the state."""
        self._spark = spark
        self._samples = samples
        self._recipe = recipe
        self._labels = labels
        self._build_network = build_network
        self._checkpoints = checkpoints
        self._observers = observers
        self._num_train = samples.counts["train"].readable
        self._num_validation = samples.counts["validation"].readable
        self._num_workers = num_workers
        self._positive_weights = _positive_weights(recipe, samples)
        self._schedule = Schedule(recipe.schedule, recipe.optimizer.learning_rate, recipe.training.epochs)
        self._check_validation()
        self._best: KeptWeights | None = None
        self._scores: ValidationScores | None = None

    def _check_validation(self) -> None:
        """Refuse a schedule, and warn of settings, that need validation samples where there are none."""
        self._schedule.check(METRICS)
        self._schedule.log_unreached_phases()
        if self._num_validation:
            return
        if any(isinstance(phase, Plateau) for phase in self._recipe.schedule):
            raise DataError("a plateau schedule watches validation, but no sample has the split 'validation'.")
        if self._recipe.training.keep == "best" or self._recipe.training.early_stopping_patience is not None:
            logger.warning("no validation samples: the last weights are kept, and nothing stops the run early")

    def train(self, state: PackedState) -> TrainingResult:
        """Train from a first state to the end.

        Raises:
            UserCodeError: the network raised on a worker.
            TrainingError: rounds keep failing, or gradients are not finite for MAX_SKIPPED_STEPS steps in a row.
        """
        num_shards = self._recipe.training.num_shards or choose_num_shards(
            self._num_train, batch_size=self._recipe.training.batch_size, num_workers=self._num_workers
        )
        record = RunRecord(
            fingerprint=self._samples.fingerprint,
            num_shards=num_shards,
            num_samples=self._num_train,
            steps_per_epoch=self._shard_plan(num_shards).steps_per_epoch,
        )
        return self._loop(state, record)

    def train_from(self, checkpoint: Checkpoint) -> TrainingResult:
        """Go on from a checkpoint to the end; raises as `train`."""
        self._best = checkpoint.best
        self._scores = checkpoint.scores
        return self._loop(checkpoint.state, checkpoint.record)

    def _loop(self, state: PackedState, record: RunRecord) -> TrainingResult:
        plan = self._shard_plan(record.num_shards)
        self._tell_start(plan, state.step)
        skipped_in_a_row = 0
        with Rounds(
            self._spark,
            self._samples,
            settings=self._recipe.training,
            num_findings=len(self._labels),
            num_shards=record.num_shards,
            num_workers=min(self._num_workers, record.num_shards),
            observers=self._observers,
        ) as rounds:
            while not self._is_over(record):
                reply, state, round_record = rounds.next(
                    state, spec=self._spec(state, record, plan), description=_describe(state, record, plan)
                )
                record = record.with_round(round_record, reply.steps)
                skipped_in_a_row = _count_skipped(reply.steps, skipped_in_a_row)
                for observer in self._observers:
                    observer.round_ended(round_record, reply.steps)
                self._scores = None
                if state.step % plan.steps_per_epoch == 0:
                    record = self._end_epoch(state, record, reply)
                if self._checkpoints is not None:
                    self._checkpoints.save(state, record, self._recipe, scores=self._scores)
        return TrainingResult(self._kept(state, record), record)

    def _shard_plan(self, num_shards: int) -> ShardPlan:
        training = self._recipe.training
        sizes = shard_sizes(self._num_train, num_shards)
        return ShardPlan(sizes, training.batch_size, training.micro_batch_size, training.seed)

    def _tell_start(self, plan: ShardPlan, first_step: int) -> None:
        batch_size = self._recipe.training.batch_size
        if batch_size > self._num_train:
            logger.warning(
                "batch_size %d is more than the %d training images: every epoch is one step; lower batch_size",
                batch_size,
                self._num_train,
            )
        facts = RunPlan(
            num_samples=self._num_train,
            num_validation=self._num_validation,
            num_shards=len(plan.sizes),
            num_workers=min(self._num_workers, len(plan.sizes)),
            steps_per_epoch=plan.steps_per_epoch,
            epochs=self._recipe.training.epochs,
            first_step=first_step,
        )
        for observer in self._observers:
            observer.run_started(facts)

    def _is_over(self, record: RunRecord) -> bool:
        patience = self._recipe.training.early_stopping_patience
        stale = patience is not None and self._num_validation and record.epochs_since_best > patience
        return len(record.epochs) >= self._recipe.training.epochs or bool(stale)

    def _spec(self, state: PackedState, record: RunRecord, plan: ShardPlan) -> RoundSpec:
        steps = plan.steps_per_epoch
        first = state.step % steps
        return RoundSpec(
            recipe=self._recipe,
            build_network=self._build_network,
            plan=plan,
            positive_weights=self._positive_weights,
            first_step=state.step,
            learning_rates=tuple(
                self._schedule.learning_rate(len(record.epochs) + step / steps, record.schedule)
                for step in range(first, steps)
            ),
            seconds=60 * self._recipe.training.round_minutes,
        )

    def _end_epoch(self, state: PackedState, record: RunRecord, reply: RoundReply) -> RunRecord:
        """Validate, advance the schedule, and keep the weights if they are the best so far."""
        epoch = len(record.epochs) + 1
        self._scores = _validation_scores(reply)
        validation = self._validate(self._scores)
        closed = record.open_epoch
        epoch_record = EpochRecord(
            epoch=epoch,
            learning_rate=reply.steps[-1].learning_rate,
            train_loss=closed.loss_sum / max(1, closed.num_samples),
            images_per_second=closed.num_samples / max(1e-9, closed.seconds),
            seconds=closed.seconds,
            num_workers=record.rounds[-1].num_workers,
            skipped_steps=closed.skipped_steps,
            validation=validation,
        )
        metrics = {name: None if validation is None else validation[name] for name in METRICS}
        watched = self._recipe.training.metric
        value = metrics[watched]
        is_best = is_better(watched, value, record.best_value)
        if is_best:
            self._best = _weights(state, self._scores, len(self._labels), epoch)
            if self._checkpoints is not None:
                self._checkpoints.save_best(self._best)
        for observer in self._observers:
            observer.epoch_ended(epoch_record)
        return replace(
            record,
            epochs=(*record.epochs, epoch_record),
            open_epoch=OpenEpoch(),
            schedule=self._schedule.after_epoch(record.schedule, epoch, metrics),
            best_epoch=epoch if is_best else record.best_epoch,
            best_value=value if is_best else record.best_value,
        )

    def _validate(self, scores: ValidationScores | None) -> dict[str, Any] | None:
        if scores is None:
            return None
        evaluation = evaluate_scores(scores.labels_NC, scores.probabilities_NC, self._labels)
        return {**evaluation.to_dict(), "loss": evaluation.loss}

    def _kept(self, state: PackedState, record: RunRecord) -> KeptWeights:
        if self._recipe.training.keep == "best" and self._best is not None:
            return self._best
        return _weights(state, self._scores, len(self._labels), len(record.epochs))


def _validation_scores(reply: RoundReply) -> ValidationScores | None:
    if reply.labels_NC is None or reply.probabilities_NC is None or not len(reply.labels_NC):
        return None
    return ValidationScores(reply.labels_NC, reply.probabilities_NC)


def first_state(network: nn.Module, recipe: Recipe) -> PackedState:
    """The state that a run starts from: a network's present weights, and an optimizer that has done nothing yet."""
    optimizer = build_optimizer(list(network.named_parameters()), recipe.optimizer)
    return capture(network, optimizer, step=0).pack()


def _describe(state: PackedState, record: RunRecord, plan: ShardPlan) -> str:
    """Of a round's job, on Spark's own page."""
    epoch, step = divmod(state.step, plan.steps_per_epoch)
    return f"radspark round {len(record.rounds) + 1}: epoch {epoch + 1}, from step {step + 1} of {plan.steps_per_epoch}"


def _weights(state: PackedState, scores: ValidationScores | None, num_findings: int, epoch: int) -> KeptWeights:
    empty = np.empty((0, num_findings), np.float32)
    return KeptWeights(
        network=state.network(),
        labels_NC=empty if scores is None else scores.labels_NC,
        probabilities_NC=empty if scores is None else scores.probabilities_NC,
        epoch=epoch,
    )


def _positive_weights(recipe: Recipe, samples: IndexedSamples) -> tuple[float, ...] | None:
    wanted = recipe.training.positive_weights
    if wanted != "balanced":
        return wanted
    counts = samples.counts["train"]
    return balanced_positive_weights(counts.positives, counts.negatives)


def _count_skipped(steps: Sequence[StepRecord], before: int) -> int:
    """Skipped steps in a row up to the last of these.

    Raises:
        TrainingError: too many.
    """
    count = before
    for step in steps:
        count = 0 if step.was_applied else count + 1
        if count >= MAX_SKIPPED_STEPS:
            raise TrainingError(
                f"the gradient was not finite for {count} steps in a row (step {step.step}); "
                "lower optimizer.learning_rate or set optimizer.clip_norm."
            )
    return count
