"""A plan's prediction beside a real run: measures the machine, writes the prediction down, trains, prints the ratio.

The backbone is none of those that the measurement uses. Prediction and outcome are kept in --out as JSON; the
prediction is on disk before training starts.

Run: python benchmarks/bench_plan.py --images FOLDER --out plan.json [--backbone densenet121] [--minutes 5]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from radspark.planning.sheet import Plan
    from radspark.training.round import StepRecord

NUM_FINDINGS = 14


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of PNG files, taken again and again")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="densenet121")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=psutil.cpu_count(logical=False) or os.cpu_count())
    parser.add_argument("--micro-batch", type=int, default=16)
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--machine", type=Path, help="figures measured before; measured now without it")
    arguments = parser.parse_args()
    plan = predict(arguments)
    steps = max(4, round(60 * arguments.minutes / plan.step.seconds))
    said = {
        "backbone": arguments.backbone,
        "machine": dataclasses.asdict(plan.machine),
        "predicted": {"step_seconds": plan.step.seconds, "images_per_second": plan.images_per_second},
        "parts_of_a_step": dataclasses.asdict(plan.step),
        "steps": steps,
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    arguments.out.write_text(json.dumps(said, indent=2) + "\n")
    print(f"predicted: {plan.images_per_second:.2f} images/s, {plan.step.seconds:.2f} s a step; training {steps} steps")
    done = train(arguments, plan.layout.batch_size, steps)[1:]  # the first one waits for memory and kernels
    measured = sum(step.num_samples for step in done) / sum(step.seconds for step in done)
    ratio = plan.images_per_second / measured
    arguments.out.write_text(json.dumps({**said, "measured": measured, "predicted / measured": ratio}, indent=2) + "\n")
    print(f"measured:  {measured:.2f} images/s over {sum(step.seconds for step in done):.0f} s")
    print(f"predicted / measured: {ratio:.3f}")


def predict(arguments: argparse.Namespace) -> Plan:
    """The plan for this machine alone."""
    from radspark.planning.calibration import NETWORKS, calibrate
    from radspark.planning.description import Cluster, Job
    from radspark.planning.layout import plan_layout
    from radspark.planning.machine import load_machine
    from radspark.planning.sheet import Plan
    from radspark.planning.workload import count_workload
    from radspark.settings import ModelSettings

    if arguments.backbone in NETWORKS:
        raise SystemExit(f"{arguments.backbone} is one of those that the measurement uses; take another.")
    machine = load_machine(arguments.machine) if arguments.machine else calibrate(workers=arguments.workers)
    model = ModelSettings(backbone=arguments.backbone, input_size=arguments.input_size)
    load = count_workload(model, num_findings=NUM_FINDINGS, micro_batch_size=arguments.micro_batch)
    job = Job(
        images=100_000,
        epochs=1,
        prepared_size=256,
        optimizer="sgd",
        micro_batch_size=arguments.micro_batch,
        batch_size=arguments.micro_batch * arguments.workers,
    )
    memory = psutil.virtual_memory().total / 1e9
    cluster = Cluster(nodes=1, cores=arguments.workers, memory_gb=memory, network_gbits=10)
    return Plan(job, cluster, load, machine, plan_layout(job, cluster, load, machine))


def train(arguments: argparse.Namespace, batch_size: int, steps: int) -> list[StepRecord]:
    """Steps of one epoch by `XRayClassifier.fit`; the files are repeated under new ids until they suffice."""
    from pyspark.sql import functions as F

    from radspark.engine.observer import Observer
    from radspark.frames import get_session, read_images
    from radspark.ml import XRayClassifier
    from radspark.settings import AugmentationSettings, ModelSettings, OptimizerSettings, Recipe, TrainingSettings

    files = sorted(str(path) for path in arguments.images.rglob("*.png"))[: batch_size * steps]
    if not files:
        raise SystemExit(f"{arguments.images} holds no PNG files.")
    spark = get_session(master=f"local[{arguments.workers}]")
    labels = F.array(*[(F.abs(F.hash("path", F.lit(i))) % 2).cast("float") for i in range(NUM_FINDINGS)])
    copies = spark.range(-(-batch_size * steps // len(files))).withColumnRenamed("id", "copy")
    samples = (
        read_images(spark, files, size=256)
        .crossJoin(copies)
        .withColumns({"image_id": F.concat_ws("#", "path", "copy"), "labels": labels, "split": F.lit("train")})
        .limit(batch_size * steps)
    )
    recipe = Recipe(
        augmentation=AugmentationSettings(flip=0.5),
        model=ModelSettings(backbone=arguments.backbone, input_size=arguments.input_size),
        optimizer=OptimizerSettings(name="sgd", learning_rate=1e-3),
        training=TrainingSettings(
            epochs=1, batch_size=batch_size, micro_batch_size=arguments.micro_batch, num_workers=arguments.workers
        ),
    )
    done: list[StepRecord] = []

    class Keep(Observer):
        def round_ended(self, record: object, steps: Sequence[StepRecord]) -> None:
            done.extend(steps)

    XRayClassifier(recipe=recipe, observers=[Keep()]).fit(samples)
    return done


if __name__ == "__main__":
    main()
