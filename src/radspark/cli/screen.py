"""What people see of a training run: a live line, and a line that stays for each epoch."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta

from rich.live import Live
from rich.text import Text

from radspark.cli.console import console, say
from radspark.cli.evaluation_table import figure
from radspark.engine.history import EpochRecord, RoundRecord
from radspark.engine.observer import Observer, RunPlan
from radspark.training.round import StepRecord


class TrainingScreen(Observer):
    """A live line while a round runs, where someone watches; and everywhere a line that stays for each epoch."""

    def __init__(self) -> None:
        self._plan: RunPlan | None = None
        self._first: tuple[int, float] | None = None
        self._last: StepRecord | None = None
        self._lock = threading.Lock()
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._line)

    def __enter__(self) -> TrainingScreen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def run_started(self, plan: RunPlan) -> None:
        """Say what is about to be done."""
        self._plan = plan
        resumed = f", going on after step {plan.first_step:,}" if plan.first_step else ""
        say(
            f"training on {plan.num_samples:,} images ({plan.num_validation:,} for validation): "
            f"{_count(plan.epochs, 'epoch')} of {_count(plan.steps_per_epoch, 'step')}, "
            f"{_count(plan.num_workers, 'worker')}{resumed}"
        )

    def step_done(self, step: StepRecord) -> None:
        """Advance the live line."""
        with self._lock:
            if self._first is None:
                self._first = (step.step, time.monotonic())
            self._last = step

    def round_ended(self, record: RoundRecord, steps: Sequence[StepRecord]) -> None:
        """A pause between rounds is not counted in the time left."""
        with self._lock:
            self._first = None

    def epoch_ended(self, record: EpochRecord) -> None:
        """One line that stays."""
        validation = record.validation or {}
        say(
            f"epoch {record.epoch:>3}  loss {record.train_loss:.4f}  "
            f"validation loss {figure(validation.get('loss'))}  mean AUROC {figure(validation.get('mean_auroc'))}  "
            f"{record.images_per_second:.1f} images/s  learning rate {record.learning_rate:.2e}"
        )

    def _line(self) -> Text:
        with self._lock:
            plan, step, first = self._plan, self._last, self._first
        if plan is None:
            return Text("reading and decoding images ...", style="dim")
        if step is None or first is None:
            return Text("starting workers ...", style="dim")
        total = plan.epochs * plan.steps_per_epoch
        done = step.step - first[0]
        pace = (time.monotonic() - first[1]) / max(1, done)
        left = str(timedelta(seconds=round(pace * (total - step.step)))) if done else "?"
        return Text(
            f"epoch {(step.step - 1) // plan.steps_per_epoch + 1}/{plan.epochs}  step {step.step}/{total}  "
            f"loss {step.loss:.4f}  {step.num_samples / max(step.seconds, 1e-9):.1f} images/s  "
            f"learning rate {step.learning_rate:.2e}  {left} left",
            style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
