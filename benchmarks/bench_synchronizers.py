"""What a step costs beside the computing: both synchronizers on a network of many weights that computes little.

Each round trains with each contender in turn; printed are medians of the seconds of a step, the zeroing of gradients
and the optimizer's update included, and how many images a worker must compute in a step for that to be 10% and 5%.

Run: python benchmarks/bench_synchronizers.py [--parameters 25.6e6] [--optimizer sgd] [--images-per-second 3.7]
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from radspark.engine.observer import Observer
from radspark.frames import get_session
from radspark.ml import XRayClassifier
from radspark.settings import AugmentationSettings, ModelSettings, OptimizerSettings, Recipe, TrainingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from radspark.training.round import StepRecord

SIDE = 16
SIDE_OF_A_MATRIX = 512
CONTENDERS = {
    "collective": {"synchronizer": "collective"},
    "sliced": {"synchronizer": "sliced"},
    "sliced, bfloat16": {"synchronizer": "sliced", "exchange": "bfloat16"},
}


class Heavy(nn.Module):
    """Matrices whose gradient is one number each."""

    def __init__(self, num_parameters: int) -> None:
        super().__init__()
        size = SIDE_OF_A_MATRIX
        self.matrices = nn.ParameterList(torch.zeros(size, size) for _ in range(num_parameters // size**2))
        self.head = nn.Linear(1, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        weight = torch.stack([matrix.sum() for matrix in self.matrices]).sum()
        logits: torch.Tensor = self.head(images.float().mean((2, 3)) / 255 + 1e-9 * weight)
        return logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=25.6e6)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    parser.add_argument("--steps", type=int, default=12, help="in a run; the first two are left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images-per-second", type=float, default=3.7, help="that a worker computes")
    arguments = parser.parse_args()
    spark = get_session(master=f"local[{arguments.workers}]")
    samples = make_samples(spark, 2 * arguments.workers * arguments.steps)
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(arguments.rounds):
        for name, choices in CONTENDERS.items():
            seconds[name].append(seconds_of_a_step(samples, arguments, choices))
        print(f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items()))
    print(f"{arguments.parameters:.3g} parameters, {arguments.optimizer}, {arguments.workers} workers")
    for name, values in seconds.items():
        cost = statistics.median(values)
        images = cost * arguments.images_per_second
        print(f"  {name:17} {cost:5.2f} s a step; 10% at {9 * images:.0f} images a worker, 5% at {19 * images:.0f}")


def make_samples(spark: SparkSession, num: int) -> DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(num):
        pixels = rng.integers(0, 256, SIDE * SIDE).astype(np.uint8).tobytes()
        image = {"origin": "", "height": SIDE, "width": SIDE, "nChannels": 1, "mode": 0, "data": pixels}
        rows.append((str(i), image, [float(i % 2), float(i % 3 == 0)], "train"))
    image_type = "image struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>"
    return spark.createDataFrame(rows, f"image_id string, {image_type}, labels array<float>, split string").cache()


def seconds_of_a_step(samples: DataFrame, arguments: argparse.Namespace, choices: dict[str, str]) -> float:
    recipe = Recipe(
        augmentation=AugmentationSettings(),
        model=ModelSettings(input_size=SIDE),
        optimizer=OptimizerSettings(name=arguments.optimizer, learning_rate=1e-4),
        training=TrainingSettings(epochs=1, batch_size=2 * arguments.workers, num_workers=arguments.workers),
    )
    steps: list[StepRecord] = []

    class Keep(Observer):
        def round_ended(self, record: object, done: Sequence[StepRecord]) -> None:
            steps.extend(done)

    num_parameters = int(arguments.parameters)
    XRayClassifier(
        recipe=replace(recipe, training=replace(recipe.training, **choices)),
        moduleFactory=lambda: Heavy(num_parameters),
        findings=["first", "second"],
        observers=[Keep()],
    ).fit(samples)
    return statistics.median(step.seconds for step in steps[2:])


if __name__ == "__main__":
    main()
