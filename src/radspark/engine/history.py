"""What a run remembers: one record per round and per epoch, and the driver's own counters; plain JSON.

`history.json` is `RunRecord.to_dict()`, format 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from radspark.nn.schedules import ScheduleState
from radspark.training.round import StepRecord

FORMAT_VERSION = 1


@dataclass(frozen=True)
class RoundRecord:
    """One round: how far it went, with how many workers, and what it cost."""

    first_step: int
    num_steps: int
    num_workers: int
    seconds: float
    """From the start of the first attempt to the end of the last, waiting for executors included."""
    training_seconds: float
    """Of these, in steps on the workers."""
    failures: int
    """Attempts before it that did not end."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, over all workers."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    """At its last step."""
    train_loss: float
    """Mean over its samples, augmented and with dropout."""
    images_per_second: float
    """Of training steps alone."""
    seconds: float
    num_workers: int
    skipped_steps: int
    """Steps whose gradient was not finite."""
    validation: Mapping[str, Any] | None
    """`Evaluation.to_dict()` and `loss`; None without validation samples."""


@dataclass(frozen=True)
class OpenEpoch:
    """Sums over the steps done of an epoch that has not ended."""

    loss_sum: float = 0.0
    num_samples: int = 0
    seconds: float = 0.0
    skipped_steps: int = 0

    def plus(self, steps: Sequence[StepRecord]) -> OpenEpoch:
        """With some more steps."""
        applied = [step for step in steps if step.was_applied]
        return OpenEpoch(
            loss_sum=self.loss_sum + sum(step.loss * step.num_samples for step in applied),
            num_samples=self.num_samples + sum(step.num_samples for step in applied),
            seconds=self.seconds + sum(step.seconds for step in steps),
            skipped_steps=self.skipped_steps + len(steps) - len(applied),
        )


@dataclass(frozen=True)
class RunRecord:
    """Everything that the driver knows of a run beside the training state; a checkpoint holds it."""

    fingerprint: str
    """Of the samples."""
    num_shards: int
    num_samples: int
    steps_per_epoch: int
    schedule: ScheduleState = field(default_factory=ScheduleState)
    open_epoch: OpenEpoch = OpenEpoch()
    epochs: tuple[EpochRecord, ...] = ()
    rounds: tuple[RoundRecord, ...] = ()
    best_epoch: int | None = None
    """Epoch with the best value of the watched metric."""
    best_value: float | None = None

    @property
    def epochs_since_best(self) -> int:
        """Epochs without improvement of the watched metric."""
        return len(self.epochs) - (self.best_epoch or 0)

    def with_round(self, record: RoundRecord, steps: Sequence[StepRecord]) -> RunRecord:
        """After one more round."""
        return replace(self, rounds=(*self.rounds, record), open_epoch=self.open_epoch.plus(steps))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """Inverse of `to_dict`, also after a trip through JSON."""
        rest = {name: value for name, value in values.items() if name != "format_version"}
        return cls(
            **{
                **rest,
                "schedule": ScheduleState(**rest["schedule"]),
                "open_epoch": OpenEpoch(**rest["open_epoch"]),
                "epochs": tuple(EpochRecord(**epoch) for epoch in rest["epochs"]),
                "rounds": tuple(RoundRecord(**record) for record in rest["rounds"]),
            }
        )
