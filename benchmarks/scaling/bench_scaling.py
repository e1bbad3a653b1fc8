"""Weak scaling of the engine beyond this machine's cores: everything is real but the computing, which sleeps.

Each of N workers stands for a node. `XRayClassifier.fit` trains a module that sleeps for the time that a node's
share of a step takes; samples, rounds, exchange and update are the engine's own. The vector and the links are both
smaller than ResNet-50's and 10 Gb/s by the same factor, so that an exchange takes as long as it would there. Each N
runs in a network namespace of its own, whose loopback `tc` limits to N links; it vanishes with the process. Needs root.

With `collective` the workers are processes of one local Spark: their exchange goes over the loopback. With `sliced`
each is in an executor of its own, and what one would find on the disk of another is fetched as from another host. All
executors' Java, which a cluster gives the cores of N nodes, shares those of this machine; `--slow-motion K` sleeps K
times as long over links that are K times slower, and divides the time by K. What the driver's processors do, which is
one machine's on a cluster too, is not divided.

Run: python benchmarks/scaling/bench_scaling.py --out scaling.json [--workers 2 4 8 16] [--synchronizer collective]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from torch import Tensor, nn, zeros

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from radspark.training.round import StepRecord

NUM_WEIGHTS = 23_530_446
"""Of ResNet-50 with 14 findings."""
LINK_GBITS = 10.0
IMAGES = 16
"""Of a worker and step."""
STEP_SECONDS = 16 / (7.31 / 2)
"""Of a core with 16 images of ResNet-50 at 224 px, docs/results.md; the cores of a node compute side by side."""
EXECUTOR_MB = 512
APART = {
    "spark.executor.memory": f"{EXECUTOR_MB}m",
    # Executors of one host read each other's shuffle from disk, and Python workers reach their JVM by the loopback.
    "spark.shuffle.readHostLocalDisk": "false",
    "spark.python.unix.domain.socket.enabled": "true",
}
SIZE = 16
NUM_FINDINGS = 14


class Sleeper(nn.Module):
    """A vector of weights, and a forward pass that takes so long an image in training."""

    def __init__(self, num_weights: int, image_seconds: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(zeros(num_weights))
        self.image_seconds = image_seconds

    def forward(self, images: Tensor) -> Tensor:
        """The first weights as logits."""
        if self.training:
            time.sleep(self.image_seconds * len(images))
        return self.weights[:NUM_FINDINGS].expand(len(images), NUM_FINDINGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; what it holds already is kept")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--steps", type=int, default=8, help="timed; one more goes before them")
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each number of workers, interleaved")
    parser.add_argument("--synchronizer", default="collective")
    parser.add_argument("--scale", type=int, default=64, help="that vector and links are divided by")
    parser.add_argument("--step-seconds", type=float, default=STEP_SECONDS)
    parser.add_argument("--slow-motion", type=float, default=1.0, metavar="K", help="see above; N workers / 2 cores")
    parser.add_argument("--one", action="store_true", help="run one number of workers here, and print its steps")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(train(arguments)))
        return
    for _ in range(arguments.repeats):
        for num_workers in arguments.workers:
            steps = run_apart(arguments, num_workers)
            keep(arguments, num_workers, [seconds for seconds, _ in steps])
            seconds, driver = (statistics.median(values) for values in zip(*steps, strict=True))
            print(f"{arguments.synchronizer}, {num_workers:2} workers: {seconds:.3f} s a step, driver {driver:.3f} s")


def keep(arguments: argparse.Namespace, num_workers: int, seconds: list[float]) -> None:
    """Add the steps of one training to the file: by synchronizer, by number of workers."""
    file = arguments.out
    known = json.loads(file.read_text()) if file.exists() else {"images": IMAGES, "slept": arguments.step_seconds}
    known.setdefault(arguments.synchronizer, {}).setdefault(str(num_workers), []).append(seconds)
    file.write_text(json.dumps(known) + "\n")


def run_apart(arguments: argparse.Namespace, num_workers: int) -> list[tuple[float, float]]:
    """What `train` gives, in a namespace whose loopback carries N links' worth."""
    megabits = 1000 * LINK_GBITS / arguments.scale / arguments.slow_motion * num_workers
    shape = f"tc qdisc add dev lo root tbf rate {megabits:.0f}mbit burst 256kb limit 64mb"
    own = [sys.executable, __file__, "--one", "--out", str(arguments.out), "--workers", str(num_workers)]
    own += ["--steps", str(arguments.steps), "--synchronizer", arguments.synchronizer]
    own += ["--scale", str(arguments.scale), "--step-seconds", str(arguments.step_seconds)]
    own += ["--slow-motion", str(arguments.slow_motion)]
    script = f'ip link set lo up && {shape} && exec "$@"'
    command = ["unshare", "--net", "bash", "-c", script, "bash", *own]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [(seconds, driver) for seconds, driver in json.loads(done.stdout.strip().splitlines()[-1])]


def count_driver_cpu() -> float:
    """Processor seconds of the driver: of this process and of its Java, without executors."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (me, *me.children()))


def make_samples(spark: SparkSession, number: int) -> DataFrame:
    """Small grey images of one letter, half of them with all findings."""
    from pyspark.sql import functions as F

    columns = {
        "image_id": F.col("id").cast("string"),
        "image": F.expr(
            f"named_struct('origin', '', 'height', {SIZE}, 'width', {SIZE}, 'nChannels', 1, 'mode', 0, "
            f"'data', cast(repeat('x', {SIZE * SIZE}) as binary))"
        ),
        "labels": F.expr(f"array_repeat(cast(id % 2 as float), {NUM_FINDINGS})"),
        "split": F.lit("train"),
    }
    return spark.range(0, number, 1, 4).withColumns(columns)


def train(arguments: argparse.Namespace) -> list[tuple[float, float]]:
    """Of each step but the first: its seconds, out of slow motion; and how long the driver's processors worked."""
    from radspark.engine.observer import Observer
    from radspark.frames import get_session
    from radspark.ml import XRayClassifier
    from radspark.settings import (
        AugmentationSettings,
        Constant,
        ModelSettings,
        OptimizerSettings,
        PreparationSettings,
        Recipe,
        TrainingSettings,
        from_dict,
    )

    (num_workers,) = arguments.workers
    batch_size = num_workers * IMAGES
    is_sliced = arguments.synchronizer == "sliced"
    spark = get_session(
        master=f"local-cluster[{num_workers},1,{EXECUTOR_MB}]" if is_sliced else f"local[{num_workers}]",
        conf=APART if is_sliced else None,
    )
    samples = make_samples(spark, batch_size * (arguments.steps + 1))
    training = {"epochs": 1, "batch_size": batch_size, "micro_batch_size": IMAGES, "num_workers": num_workers}
    training["synchronizer"] = arguments.synchronizer
    recipe = Recipe(
        preparation=PreparationSettings(size=SIZE),
        augmentation=AugmentationSettings(),
        model=ModelSettings(input_size=SIZE),
        optimizer=OptimizerSettings(name="sgd", learning_rate=1e-3),
        schedule=(Constant(),),
        training=from_dict(TrainingSettings, training, where="training"),
    )
    slow_motion, busy = arguments.slow_motion, []
    done: list[StepRecord] = []

    class Keep(Observer):
        def step_done(self, step: StepRecord) -> None:
            busy.append(count_driver_cpu())

        def round_ended(self, record: object, steps: Sequence[StepRecord]) -> None:
            done.extend(steps)

    factory = partial(Sleeper, NUM_WEIGHTS // arguments.scale, slow_motion * arguments.step_seconds / IMAGES)
    findings = [f"finding-{number}" for number in range(NUM_FINDINGS)]
    XRayClassifier(recipe=recipe, findings=findings, moduleFactory=factory, observers=[Keep()]).fit(samples)
    drivers = [late - early for early, late in itertools.pairwise(busy)]
    return [
        ((step.seconds - driver) / slow_motion + driver, driver) for step, driver in zip(done[1:], drivers, strict=True)
    ]


if __name__ == "__main__":
    main()
