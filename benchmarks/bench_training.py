"""Training speed on this machine, side by side: radspark on Spark, bare replicas, and a plain PyTorch script.

Each round runs all in turn; printed are medians, and medians of the ratios of a round.

- radspark: `XRayClassifier.fit`, one worker per core; images/s of its steps, exchange included.
- wide: the same with one worker that has all cores (`cores_per_worker`) and as many images a step; if asked for.
- bare: as many processes as workers, each doing forward, backward and update on one fixed batch in memory, alone.
- plain: one process, a DataLoader over the same files, torch's own threads, channels-last.

Run: python benchmarks/bench_training.py --images FOLDER [--backbone resnet50] [--rounds 5] [--beside bare plain]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from radspark.training.round import StepRecord

NUM_FINDINGS = 14
INPUT_SIZE = 224
PREPARED_SIZE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of PNG files")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each contender in a round")
    parser.add_argument("--micro-batch", type=int, default=16, help="images per worker and step")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument(
        "--shards", type=int, help="of radspark, with a micro-batch each in a step (default: the workers)"
    )
    parser.add_argument("--beside", nargs="+", choices=PEERS, default=["bare", "plain"])
    parser.add_argument("--contender", choices=CONTENDERS, help="run this one alone, once, and print images/s")
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(CONTENDERS[arguments.contender](arguments)))
        return
    speeds: dict[str, list[float]] = {name: [] for name in ("radspark", *arguments.beside)}
    for number in range(arguments.rounds):
        for name, measured in speeds.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--contender", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            measured.append(json.loads(done.stdout.strip().splitlines()[-1]))
        shown = ", ".join(f"{name} {values[-1]:.2f}" for name, values in speeds.items())
        print(f"round {number + 1}: {shown}", flush=True)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"{arguments.backbone}, {INPUT_SIZE} px, {arguments.workers} workers, {arguments.micro_batch} images each")
    for name, value in medians.items():
        print(f"  {name:9} {value:6.2f} images/s (median of {arguments.rounds})")
    for name in arguments.beside:
        pairs = [a / b for a, b in zip(speeds["radspark"], speeds[name], strict=True)]
        print(f"  radspark / {name}: {statistics.median(pairs):.2f} (median of pairs)")


def image_files(arguments: argparse.Namespace, num: int) -> list[str]:
    files = sorted(str(path) for path in arguments.images.rglob("*.png"))
    if len(files) < num:
        raise SystemExit(f"{arguments.images} holds {len(files)} PNG files, {num} are needed; take fewer --steps.")
    return files[:num]


def run_radspark(arguments: argparse.Namespace) -> float:
    """One worker for each core."""
    return fit(arguments, num_workers=arguments.workers, cores_per_worker=1)


def run_wide(arguments: argparse.Namespace) -> float:
    """One worker with all cores."""
    return fit(arguments, num_workers=1, cores_per_worker=arguments.workers)


def fit(arguments: argparse.Namespace, *, num_workers: int, cores_per_worker: int) -> float:
    """Images per second over the steps of one epoch, the first two left out."""
    from pyspark.sql import functions as F

    from radspark.engine.observer import Observer
    from radspark.frames import get_session, read_images
    from radspark.ml import XRayClassifier
    from radspark.settings import AugmentationSettings, ModelSettings, OptimizerSettings, Recipe, TrainingSettings

    batch = arguments.micro_batch * (arguments.shards or arguments.workers)
    files = image_files(arguments, batch * (arguments.steps + 2))
    spark = get_session(master=f"local[{arguments.workers}]")
    labels = F.array(*[(F.abs(F.hash("path", F.lit(i))) % 2).cast("float") for i in range(NUM_FINDINGS)])
    samples = read_images(spark, files, size=PREPARED_SIZE).withColumns(
        {"image_id": F.col("path"), "labels": labels, "split": F.lit("train")}
    )
    recipe = Recipe(
        augmentation=AugmentationSettings(flip=0.5),
        model=ModelSettings(backbone=arguments.backbone, input_size=INPUT_SIZE),
        optimizer=OptimizerSettings(name="sgd", learning_rate=1e-3),
        training=TrainingSettings(
            epochs=1,
            batch_size=batch,
            micro_batch_size=arguments.micro_batch,
            num_workers=num_workers,
            num_shards=arguments.shards,
            cores_per_worker=cores_per_worker,
        ),
    )
    steps: list[StepRecord] = []

    class Keep(Observer):
        def round_ended(self, record: object, done: Sequence[StepRecord]) -> None:
            steps.extend(done)

    XRayClassifier(recipe=recipe, observers=[Keep()]).fit(samples)
    steps = steps[2:]
    return sum(step.num_samples for step in steps) / sum(step.seconds for step in steps)


def run_bare(arguments: argparse.Namespace) -> float:
    """Sum over processes of images per second; they start together and exchange nothing."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(arguments.workers)
    with context.Pool(arguments.workers, initializer=_keep_barrier, initargs=(barrier,)) as pool:
        speeds = pool.starmap(
            _replicate, [(arguments.backbone, arguments.micro_batch, arguments.steps)] * arguments.workers, chunksize=1
        )
    return sum(speeds)


def _keep_barrier(barrier: object) -> None:
    globals()["_barrier"] = barrier


def _replicate(backbone: str, micro_batch: int, num_steps: int) -> float:
    import torch

    torch.set_num_threads(1)
    network, optimizer, loss = _plain_training(backbone)
    images = torch.randint(0, 256, (micro_batch, 1, INPUT_SIZE, INPUT_SIZE), dtype=torch.uint8)
    labels = torch.randint(0, 2, (micro_batch, NUM_FINDINGS)).float()
    for step in range(num_steps + 2):
        if step == 2:
            globals()["_barrier"].wait()
            started = time.perf_counter()
        optimizer.zero_grad(set_to_none=False)
        loss(network(images), labels).backward()
        optimizer.step()
    return num_steps * micro_batch / (time.perf_counter() - started)


def run_plain(arguments: argparse.Namespace) -> float:
    """Images per second of one process with all cores and a DataLoader over the files."""
    import torch
    from torch.utils.data import DataLoader

    batch = arguments.micro_batch * arguments.workers
    torch.set_num_threads(arguments.workers)
    loader = DataLoader(
        Files(image_files(arguments, batch * (arguments.steps + 2))), batch_size=batch, shuffle=True, num_workers=1
    )
    network, optimizer, loss = _plain_training(arguments.backbone)
    for step, (images, labels) in enumerate(loader):
        if step == 2:
            started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss(network(images), labels).backward()
        optimizer.step()
    return arguments.steps * batch / (time.perf_counter() - started)


class Files:
    """The same preparation as radspark's: grey, 256, centre crop 224, flip."""

    def __init__(self, files: list[str]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[object, object]:
        import torch
        from PIL import Image

        with Image.open(self._files[index]) as image:
            grey = image.convert("L").resize((PREPARED_SIZE, PREPARED_SIZE), Image.Resampling.BILINEAR)
        margin = (PREPARED_SIZE - INPUT_SIZE) // 2
        pixels = np.asarray(grey)[margin : margin + INPUT_SIZE, margin : margin + INPUT_SIZE]
        if index % 2:
            pixels = pixels[:, ::-1]
        labels = np.random.default_rng(index).integers(0, 2, NUM_FINDINGS)
        return torch.from_numpy(pixels.copy()).unsqueeze(0), torch.from_numpy(labels).float()


def _plain_training(backbone: str) -> tuple[Any, Any, Any]:
    """A timm network with a sigmoid head, SGD with momentum, binary cross-entropy; nothing of radspark but the shim."""
    import torch

    from radspark.nn.timm_import import timm

    class Normalized(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = timm.create_model(backbone, in_chans=1, num_classes=NUM_FINDINGS, drop_rate=0.2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network((images.float() - 114.0) / 57.6)

    network = Normalized().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    return network, optimizer, torch.nn.BCEWithLogitsLoss()


PEERS = {"bare": run_bare, "plain": run_plain, "wide": run_wide}
CONTENDERS = {"radspark": run_radspark, **PEERS}

if __name__ == "__main__":
    main()
