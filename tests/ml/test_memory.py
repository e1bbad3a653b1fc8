"""Workers' memory stays flat while steps go on."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
from pyspark.sql import DataFrame
from test_faults import RECIPE, python_workers

from radspark.engine.observer import Observer
from radspark.ml import XRayClassifier
from radspark.training.round import StepRecord

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1800)]


class Memory(Observer):
    """Private memory of the two busiest Python workers, by step."""

    def __init__(self) -> None:
        self.bytes: dict[int, float] = {}

    def step_done(self, step: StepRecord) -> None:
        self.bytes[step.step] = sum(process.memory_full_info().uss for process in python_workers()[:2])


@pytest.mark.parametrize("synchronizer", ["collective", "sliced"])
def test_memory_is_flat_over_two_hundred_steps(samples: DataFrame, synchronizer: str) -> None:
    memory = Memory()
    training = replace(RECIPE.training, epochs=16, batch_size=4, synchronizer=synchronizer)
    recipe = replace(RECIPE, training=training, model=replace(RECIPE.model, backbone="resnet10t"))
    XRayClassifier(recipe=recipe, findings=["upper", "lower"], observers=[memory]).fit(samples)
    assert len(memory.bytes) >= 220
    early, late = (statistics.median(memory.bytes[s] for s in steps) for steps in (range(20, 60), range(180, 220)))
    assert late <= 1.03 * early
