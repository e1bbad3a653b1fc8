"""The driver's loop, with rounds of one worker in this process: it goes on where its driver died, and knows its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from radspark.engine import run as run_module
from radspark.engine.checkpoint import CheckpointFolder
from radspark.engine.history import EpochRecord, RoundRecord, RunRecord
from radspark.engine.observer import Observer, RunPlan
from radspark.engine.replies import RoundReply
from radspark.engine.run import MAX_SKIPPED_STEPS, Run, TrainingResult, first_state
from radspark.errors import TrainingError
from radspark.labels import LabelSet
from radspark.nn.user_module import UserNetwork
from radspark.samples.feed import IndexedSamples, SplitCounts
from radspark.settings import (
    AugmentationSettings,
    ModelSettings,
    OptimizerSettings,
    Plateau,
    Recipe,
    TrainingSettings,
    Warmup,
)
from radspark.training.cache import CachedShard
from radspark.training.collective import SingleWorker
from radspark.training.round import RoundSpec, StepRecord, run_round
from radspark.training.state import PackedState

LABELS = LabelSet(("upper", "lower"))
SIDE = 16
SIZES = {"train": 12, "validation": 8}
RECIPE = Recipe(
    augmentation=AugmentationSettings(flip=0.5),
    optimizer=OptimizerSettings(name="adam", learning_rate=0.1),
    schedule=(Warmup(epochs=1), Plateau(metric="loss", patience=0, factor=0.5)),
    training=TrainingSettings(
        epochs=30,
        batch_size=6,
        metric="loss",
        keep="best",
        early_stopping_patience=3,
        round_minutes=1e-9,
    ),
    model=ModelSettings(input_size=SIDE),
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits_NC: torch.Tensor = self.head(self.layers(images.float() / 255).amax((2, 3)))
        return logits_NC


def build(factory: Callable[[], nn.Module]) -> UserNetwork:
    torch.manual_seed(3)
    return UserNetwork(factory())


def shard(split: str) -> CachedShard:
    size, rng = SIZES[split], np.random.default_rng(SIZES[split])
    images_NSS = rng.integers(0, 256, (size, SIDE, SIDE)).astype(np.uint8)
    return CachedShard(images_NSS, rng.integers(0, 2, (size, 2)).astype(np.float32), np.arange(size))


class Rounds:
    """In the place of Spark's: one worker in this process."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def next(self, state: PackedState, *, spec: RoundSpec, **_: object) -> tuple[RoundReply, PackedState, RoundRecord]:
        train, validation = ({0: shard(split)} for split in ("train", "validation"))
        outcome = run_round(
            spec, state.unpack(), train=train, validation=validation, group=SingleWorker(), on_step=lambda _: None
        )
        scores = [np.concatenate([s.labels_NC, s.probabilities_NC], 1).tobytes() for s in outcome.scores]
        record = RoundRecord(state.step, len(outcome.steps), 1, seconds=0.0, training_seconds=0.0, failures=0)
        return RoundReply.of(outcome.steps, scores, len(LABELS)), outcome.state.pack(), record

    def __enter__(self) -> Rounds:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def rounds_of_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "Rounds", Rounds)


def train(
    folder: Path | None,
    recipe: Recipe = RECIPE,
    *,
    observers: Sequence[Observer] = (),
    factory: Callable[[], nn.Module] = Net,
) -> TrainingResult:
    """From the newest checkpoint, if there is one."""
    counts = {split: SplitCounts(size, 0, (6, 6), (6, 6)) for split, size in SIZES.items()}
    samples: Any = IndexedSamples(None, None, SIDE, len(LABELS), counts, "f", ())  # type: ignore[arg-type]
    checkpoints = None if folder is None else CheckpointFolder(folder)
    run = Run(
        None,  # type: ignore[arg-type]
        samples,
        recipe=recipe,
        labels=LABELS,
        build_network=partial(build, factory),
        num_workers=1,
        checkpoints=checkpoints,
        observers=observers,
    )
    checkpoint = None if checkpoints is None else checkpoints.load_newest()
    return run.train(first_state(build(factory), recipe)) if checkpoint is None else run.train_from(checkpoint)


class Death(BaseException):
    """Of the driver: nothing that it would still do is done."""


class DiesInEachRound(Observer):
    """But for the first that it takes up."""

    def __init__(self) -> None:
        self.is_first = True

    def run_started(self, plan: RunPlan) -> None:
        self.is_first = True

    def round_ended(self, record: RoundRecord, steps: Sequence[StepRecord]) -> None:
        if not self.is_first:
            raise Death
        self.is_first = False


class DiesWithEachEpoch(Observer):
    """Once: when its best weights may be written, and its checkpoint is not."""

    def __init__(self) -> None:
        self.epochs: set[int] = set()

    def epoch_ended(self, record: EpochRecord) -> None:
        if record.epoch not in self.epochs:
            self.epochs.add(record.epoch)
            raise Death


def without_times_and_rounds(record: RunRecord) -> RunRecord:
    epochs = tuple(replace(epoch, seconds=0.0, images_per_second=0.0) for epoch in record.epochs)
    return replace(record, epochs=epochs, rounds=())


@pytest.mark.parametrize("dying", [DiesInEachRound, DiesWithEachEpoch])
def test_a_driver_that_dies_again_and_again_comes_to_the_same_bits_rates_and_epochs(
    tmp_path: Path, dying: type[Observer]
) -> None:
    undisturbed = train(None, replace(RECIPE, training=replace(RECIPE.training, round_minutes=10)))
    rates = {epoch.learning_rate for epoch in undisturbed.record.epochs}
    assert len(undisturbed.record.epochs) == undisturbed.record.best_epoch + 4 < 30, "it is stopped early"
    assert len(rates) > 3, "the plateau is met"
    deaths, result, death = 0, None, dying()
    while result is None:
        try:
            result = train(tmp_path, observers=[death])
        except Death:  # noqa: PERF203
            deaths += 1
    assert deaths >= len(undisturbed.record.epochs)
    assert without_times_and_rounds(result.record) == without_times_and_rounds(undisturbed.record)
    assert result.kept.epoch == undisturbed.kept.epoch
    for name, array in undisturbed.kept.network.items():
        np.testing.assert_array_equal(result.kept.network[name], array, err_msg=name)


class Overflowing(Net):
    """Its gradient is infinite in some of its training passes."""

    def __init__(self, steps: Callable[[int], bool]) -> None:
        super().__init__()
        self._steps = steps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits_NC = super().forward(images)
        step = int(self.layers[1].num_batches_tracked) - 1  # type: ignore[union-attr, arg-type]
        return logits_NC * torch.inf if self.training and self._steps(step) else logits_NC


def overflowing(steps: Callable[[int], bool]) -> TrainingResult:
    training = replace(RECIPE.training, epochs=8, early_stopping_patience=None)
    return train(None, replace(RECIPE, training=training), factory=partial(Overflowing, steps))


def test_steps_without_a_finite_gradient_are_counted_by_epoch() -> None:
    record = overflowing(lambda step: step in (2, 3, 5)).record
    assert [epoch.skipped_steps for epoch in record.epochs[:4]] == [0, 2, 1, 0]


def test_too_many_in_a_row_end_the_run_with_a_sentence() -> None:
    last = 3 + MAX_SKIPPED_STEPS
    with pytest.raises(TrainingError, match=rf"not finite for 10 steps in a row \(step {last}\); lower optimizer"):
        overflowing(lambda step: step == 1 or step >= 3)
