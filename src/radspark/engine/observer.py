"""What a run tells while it goes on: an interface with empty methods, and the writer of TensorBoard events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from radspark.engine.history import EpochRecord, RoundRecord
from radspark.training.round import StepRecord


@dataclass(frozen=True)
class RunPlan:
    """What is fixed before the first round."""

    num_samples: int
    num_validation: int
    num_shards: int
    num_workers: int
    steps_per_epoch: int
    epochs: int
    first_step: int
    """Steps already done: above 0 in a resumed run."""


class Observer:
    """Base of those who watch a run. Called on the driver; `step_done` comes live from another thread, best effort."""

    def run_started(self, plan: RunPlan) -> None:
        """Before the first round."""

    def step_done(self, step: StepRecord) -> None:
        """While a round runs."""

    def round_ended(self, record: RoundRecord, steps: Sequence[StepRecord]) -> None:
        """After each round, with all its steps."""

    def round_failed(self, reason: str, *, failures: int) -> None:
        """A worker went away; the round is run again."""

    def epoch_ended(self, record: EpochRecord) -> None:
        """After validation."""


class TensorBoardObserver(Observer):
    """Scalars per step and per epoch as TensorBoard events."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def round_ended(self, record: RoundRecord, steps: Sequence[StepRecord]) -> None:
        """Loss, learning rate and speed of each step."""
        for step in steps:
            self._writer.add_scalar("train/loss", step.loss, step.step)
            self._writer.add_scalar("train/learning_rate", step.learning_rate, step.step)
            self._writer.add_scalar("train/images_per_second", step.num_samples / max(step.seconds, 1e-9), step.step)
        self._writer.flush()

    def epoch_ended(self, record: EpochRecord) -> None:
        """Validation metrics, over epochs."""
        for name, value in (record.validation or {}).items():
            if isinstance(value, float):
                self._writer.add_scalar(f"validation/{name}", value, record.epoch)
        self._writer.flush()

    def close(self) -> None:
        """End the event file."""
        self._writer.close()
