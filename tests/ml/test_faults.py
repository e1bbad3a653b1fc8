"""Signals from outside while steps advance: the run ends, and with the bits of an undisturbed one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import networks
import numpy as np
import psutil
import pytest
from pyspark.sql import DataFrame, SparkSession

from radspark.engine import channel, collective
from radspark.engine.observer import Observer
from radspark.errors import TrainingError
from radspark.ml import XRayClassifier, XRayModel
from radspark.settings import AugmentationSettings, Constant, ModelSettings, OptimizerSettings, Recipe, TrainingSettings
from radspark.training.round import StepRecord

pytestmark = pytest.mark.spark

RECIPE = Recipe(
    augmentation=AugmentationSettings(flip=0.5, rotation_degrees=5),
    model=ModelSettings(input_size=28),
    optimizer=OptimizerSettings(name="adam", learning_rate=3e-3),
    schedule=(Constant(),),
    training=TrainingSettings(epochs=3, batch_size=16, seed=11, keep="last"),
)


def classifier(training: dict[str, Any] | None = None, **params: Any) -> XRayClassifier:
    recipe = replace(RECIPE, training=replace(RECIPE.training, **(training or {})))
    defaults = {"recipe": recipe, "findings": ["upper", "lower"], "moduleFactory": networks.Small}
    return XRayClassifier(**{**defaults, **params})


def python_workers() -> list[psutil.Process]:
    """Processes of this session's Spark tasks, the busiest first."""
    family = [process for process in psutil.Process().children(recursive=True) if process.status() != "zombie"]
    daemons = {process.pid for process in family if "pyspark.daemon" in " ".join(process.cmdline())}
    tasks = [process for process in family if process.ppid() in daemons and process.pid in daemons]
    return sorted(tasks, key=lambda process: sum(process.cpu_times()[:2]), reverse=True)


class At(Observer):
    """Does something once, at a step; and remembers what failed."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step = step
        self.action = action
        self.is_done = False
        self.failures: list[str] = []

    def step_done(self, step: StepRecord) -> None:
        if step.step == self.step and not self.is_done:
            self.is_done = True
            self.action()

    def round_failed(self, reason: str, *, failures: int) -> None:
        self.failures.append(reason)


def send(number: int) -> None:
    """A signal to a worker of the round: others, which wait for Spark's next task, are in no group."""
    os.kill(max(python_workers(), key=lambda process: len(process.net_connections())).pid, number)


@pytest.fixture(scope="module")
def undisturbed(samples: DataFrame) -> XRayModel:
    return classifier().fit(samples)


def assert_same_bits(first: XRayModel, second: XRayModel) -> None:
    for name, array in first.bundle.weights.items():
        np.testing.assert_array_equal(array, second.bundle.weights[name], err_msg=name)


@pytest.mark.parametrize("step", [1, 5, 9], ids=["first", "of the second epoch", "of the last epoch"])
def test_a_killed_worker_costs_a_round_and_no_bit(samples: DataFrame, undisturbed: XRayModel, step: int) -> None:
    # Three steps of its epoch, and so of its round, are still to come.
    kill = At(step, lambda: send(signal.SIGKILL))
    model = classifier(moduleFactory=networks.Slow, observers=[kill]).fit(samples)
    assert kill.failures
    assert sum(record.failures for record in model.summary.record.rounds) == len(kill.failures)
    assert_same_bits(model, undisturbed)


def test_a_worker_that_hangs_is_noticed_and_replaced(
    samples: DataFrame, undisturbed: XRayModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 8.0)
    monkeypatch.setattr(collective, "GRACE_SECONDS", 1.0)
    hang = At(5, lambda: send(signal.SIGSTOP))
    model = classifier(moduleFactory=networks.Slow, observers=[hang]).fit(samples)
    assert any("was silent for 8 s" in reason for reason in hang.failures)
    assert_same_bits(model, undisturbed)


def test_a_run_that_never_gets_on_ends_with_a_sentence(samples: DataFrame) -> None:
    deaths = At(0, lambda: None)
    with pytest.raises(TrainingError, match="2 rounds in a row failed at step 0"):
        classifier({"max_round_failures": 1}, moduleFactory=networks.Dying, observers=[deaths]).fit(samples)
    assert len(deaths.failures) == 2


@pytest.mark.parametrize("level", ["disk", "memory", "none"])
def test_the_executors_keep_nothing_of_a_run_wherever_they_kept_it(
    samples: DataFrame, spark: SparkSession, undisturbed: XRayModel, level: str
) -> None:
    held = spark.sparkContext.parallelize(range(2), 2).mapPartitions(networks.caches)
    before, persisted = set(held.collect()), len(spark.sparkContext._jsc.getPersistentRDDs())
    model = classifier(cacheLevel=level).fit(samples)
    assert_same_bits(model, undisturbed)
    assert set(held.collect()) == before
    assert len(spark.sparkContext._jsc.getPersistentRDDs()) == persisted


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_workers_that_are_killed_again_and_again_come_to_the_same_end(samples: DataFrame, kills: int) -> None:
    class Reaper(Observer):
        steps: ClassVar[set[int]] = set()

        def step_done(self, step: StepRecord) -> None:
            # Once at a step: else the first one would be killed until the run gives up.
            if step.step % 2 and step.step not in self.steps and len(self.steps) < kills:
                self.steps.add(step.step)
                send(signal.SIGKILL)

    training = {"epochs": 3 if kills == 4 else 12}
    short = {**training, "max_round_failures": 5, "round_minutes": 1e-6}
    model = classifier(short, moduleFactory=networks.Slow, observers=[Reaper()]).fit(samples)
    assert len(Reaper.steps) == kills
    assert_same_bits(model, classifier(training).fit(samples))
