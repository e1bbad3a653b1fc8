"""What a training says, in a terminal and in a file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from radspark.cli import console, screen
from radspark.engine.history import EpochRecord, RoundRecord
from radspark.engine.observer import RunPlan
from radspark.training.round import StepRecord

PLAN = RunPlan(
    num_samples=90, num_validation=10, num_shards=2, num_workers=2, steps_per_epoch=3, epochs=2, first_step=0
)
EPOCH = EpochRecord(1, 1e-3, 0.5, 10.0, 3.0, 2, 0, {"mean_auroc": 0.7123, "loss": 0.4})


def step(number: int) -> StepRecord:
    return StepRecord(step=number, loss=0.6, num_samples=30, seconds=3.0, learning_rate=1e-3, was_applied=True)


def watch(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """What is written while an epoch of three steps is watched."""
    written = io.StringIO()
    own = Console(file=written, force_terminal=terminal, width=100, highlight=False)
    monkeypatch.setattr(console, "console", own)
    monkeypatch.setattr(screen, "console", own)
    with screen.TrainingScreen() as watcher:
        watcher.run_started(PLAN)
        for number in (1, 2, 3):
            watcher.step_done(step(number))
        if terminal:
            watcher._live.refresh()
        watcher.round_ended(RoundRecord(0, 3, 2, 4.0, 3.0, 0), [])
        watcher.epoch_ended(EPOCH)
    return written.getvalue()


def test_a_file_gets_one_line_for_each_epoch_and_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    text = watch(monkeypatch, terminal=False)
    assert text == (
        "training on 90 images (10 for validation): 2 epochs of 3 steps, 2 workers\n"
        "epoch   1  loss 0.5000  validation loss 0.400  mean AUROC 0.712  10.0 images/s  learning rate 1.00e-03\n"
    )


def test_a_terminal_sees_step_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    text = watch(monkeypatch, terminal=True)
    assert "epoch 1/2  step 3/6  loss 0.6000  10.0 images/s  learning rate 1.00e-03  0:00:00 left" in text
    assert text.endswith("\x1b[2K\x1b[?25h") or "\x1b[?25h" in text[-20:]


def test_a_resumed_run_says_where_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=written, width=40))
    screen.TrainingScreen().run_started(RunPlan(90, 10, 2, 1, 1, 2, first_step=1200))
    assert written.getvalue().endswith("2 epochs of 1 step, 1 worker, going on after step 1,200\n")
