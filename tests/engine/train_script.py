"""Trains a small network on a master of its own and prints what came out; the tests kill its processes meanwhile.

Lines on stdout: `step N` after each step, `failed REASON` for each lost round, and last a JSON object.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from pyspark.sql import SparkSession
from torch import nn

from radspark.engine import slots
from radspark.engine.history import RoundRecord
from radspark.engine.observer import Observer
from radspark.frames import get_session
from radspark.ml import XRayClassifier
from radspark.settings import AugmentationSettings, Constant, ModelSettings, OptimizerSettings, Recipe, TrainingSettings
from radspark.training.round import StepRecord

SIZE = 32
SCHEMA = (
    "image_id string, image struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>, "
    "labels array<float>, split string"
)
RECIPE = Recipe(
    augmentation=AugmentationSettings(flip=0.5),
    model=ModelSettings(backbone="resnet10t", input_size=28, dropout=0.1),
    optimizer=OptimizerSettings(name="adam", learning_rate=3e-3),
    schedule=(Constant(),),
    training=TrainingSettings(batch_size=16, num_shards=3, keep="last", seed=11),
)


class Slow(nn.Sequential):
    """A step takes at least half a second: a signal that a step's line calls for comes within its round."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(28 * 28, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            time.sleep(0.5)
        return super().forward(images / 255)


class Lines(Observer):
    def step_done(self, step: StepRecord) -> None:
        print("step", step.step, flush=True)

    def round_failed(self, reason: str, *, failures: int) -> None:
        print("failed", reason, flush=True)

    def round_ended(self, record: RoundRecord, steps: Sequence[StepRecord]) -> None:
        print("round", record.num_workers, flush=True)


def main() -> None:
    choices = json.loads(sys.argv[1])
    slots.WAIT_SECONDS = choices.get("wait", slots.WAIT_SECONDS)
    if choices["master"] == "connect":
        os.environ["PYSPARK_PYTHON"] = sys.executable
        spark = SparkSession.builder.remote("local[2]").getOrCreate()
    else:
        spark = get_session(master=choices["master"], conf=choices.get("conf"))
    rng = np.random.default_rng(0)
    rows = []
    for i in range(96):
        pixels = rng.integers(0, 256, SIZE * SIZE).astype(np.uint8).tobytes()
        image = {"origin": "", "height": SIZE, "width": SIZE, "nChannels": 1, "mode": 0, "data": pixels}
        labels = rng.integers(0, 2, 2).astype(float).tolist()
        rows.append((f"image-{i}", image, labels, "validation" if i % 6 == 5 else "train"))
    samples = spark.createDataFrame(rows, SCHEMA).repartition(4)
    recipe = replace(RECIPE, training=replace(RECIPE.training, **choices.get("training", {})))
    classifier = XRayClassifier(
        recipe=recipe,
        findings=["upper", "lower"],
        moduleFactory=Slow if choices.get("slow") else None,
        observers=[Lines()],
        **choices.get("params", {}),
    )
    model = classifier.fit(samples)
    digest = hashlib.sha256()
    for name, array in sorted(model.bundle.weights.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    rounds = model.summary.record.rounds
    scored = model.transform(samples)
    evaluation = model.evaluate(samples.where("split = 'validation'"))
    print(
        json.dumps(
            {
                "digest": digest.hexdigest(),
                "workers": [record.num_workers for record in rounds],
                "failures": sum(record.failures for record in rounds),
                "scored": scored.where("probability is not null").count(),
                "mean_auroc": evaluation.mean_auroc,
            }
        )
    )
    spark.stop()


if __name__ == "__main__":
    main()
