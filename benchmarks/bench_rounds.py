"""What a round costs beside its steps: from the end of its last step to the beginning of the next one's first.

Each step is a round of its own, with a checkpoint after it, of a network of many weights that computes little. That is
the job's end, the state's way to the driver and to disk, the next job's start, the group, and the state's way back.

Run: python benchmarks/bench_rounds.py [--parameters 25.6e6] [--optimizer adam] [--synchronizer collective]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

from pyspark import cloudpickle

import bench_synchronizers
from bench_synchronizers import SIDE, Heavy, make_samples
from radspark.engine.observer import Observer
from radspark.frames import get_session
from radspark.ml import XRayClassifier
from radspark.settings import AugmentationSettings, ModelSettings, OptimizerSettings, Recipe, TrainingSettings

if TYPE_CHECKING:
    from radspark.training.round import StepRecord


class Gaps(Observer):
    """Seconds between steps, from when they are told of."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def step_done(self, step: StepRecord) -> None:
        now = time.monotonic()
        if self._last is not None:
            self.seconds.append(now - self._last - step.seconds)
        self._last = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=25.6e6)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam")
    parser.add_argument("--synchronizer", choices=["collective", "sliced"], default="collective")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    cloudpickle.register_pickle_by_value(bench_synchronizers)  # workers have no such module
    spark = get_session(master=f"local[{arguments.workers}]")
    batch_size = 2 * arguments.workers
    training = TrainingSettings(
        epochs=1,
        batch_size=batch_size,
        num_workers=arguments.workers,
        round_minutes=1e-9,
        synchronizer=arguments.synchronizer,
    )
    recipe = Recipe(
        augmentation=AugmentationSettings(),
        model=ModelSettings(input_size=SIDE),
        optimizer=OptimizerSettings(name=arguments.optimizer, learning_rate=1e-4),
        training=training,
    )
    gaps, num_parameters = Gaps(), int(arguments.parameters)
    with tempfile.TemporaryDirectory() as folder:
        XRayClassifier(
            recipe=recipe,
            moduleFactory=lambda: Heavy(num_parameters),
            findings=["first", "second"],
            observers=[gaps],
            checkpointDir=folder,
        ).fit(make_samples(spark, batch_size * (arguments.rounds + 1)))
    print(
        f"{arguments.synchronizer}, {arguments.parameters:.3g} parameters, {arguments.optimizer}, {arguments.workers}"
    )
    print(
        f"  {statistics.median(gaps.seconds):.2f} s between rounds ({min(gaps.seconds):.2f} to {max(gaps.seconds):.2f})"
    )


if __name__ == "__main__":
    main()
