"""Training from the memory-mapped cache beside a loop over one fixed batch, on one device and without Spark.

Each round runs both in turn: `run_round`, as a worker of one runs it, over a shard of drawn noise; and forward,
backward and update of the same network on one batch that lies on the device already, which exchanges, reads and
augments nothing. Printed are medians and the ratio. With --minutes, whole epochs follow, a round each, validation
included; from them the hours of 15 epochs of 78,615 images are worked out.

Run: python benchmarks/bench_gpu.py --backbone resnet50 --precision bfloat16 --minutes 3 [--compile]
On processors, small: python benchmarks/bench_gpu.py --device cpu --backbone resnet18 --crop 64 --batch 8 --steps 4
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radspark.nn.network import XRayNetwork, build_network
from radspark.nn.optimizers import build_optimizer
from radspark.settings import AugmentationSettings, ModelSettings, OptimizerSettings, Recipe, TrainingSettings
from radspark.training.cache import CachedShard, SampleBatch, ShardCache, ShardName
from radspark.training.collective import SingleWorker
from radspark.training.room import Room
from radspark.training.round import RoundOutcome, RoundSpec, StepRecord, run_round
from radspark.training.shards import ShardPlan
from radspark.training.state import TrainingState, capture

NUM_FINDINGS = 14
PREPARED_SIZE = 256
EPOCHS, EPOCH_IMAGES, VALIDATION_IMAGES = 15, 78_615, 11_212
"""Of the 2019 talk."""
WARM_UP = 10
"""Steps that are not timed: the first ones choose kernels, or compile."""
CHUNK = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--crop", type=int, default=224, help="side of the network's input")
    parser.add_argument("--batch", type=int, default=128, help="images of a step, in one forward pass")
    parser.add_argument("--steps", type=int, default=40, help="timed ones of each contender in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0.0, help="of whole epochs afterwards")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="both networks by torch.compile")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no CUDA device here; --device cpu measures the processor.")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    how = f"{arguments.precision}, {'compiled' if arguments.compile else 'not compiled'}"
    print(f"{arguments.backbone}, {arguments.crop} px, {arguments.batch} images a step, {how}; {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments, device)
        if arguments.minutes:
            run_epochs(Path(folder), arguments, device)


def compare(folder: Path, arguments: argparse.Namespace, device: torch.device) -> None:
    num_steps = WARM_UP + arguments.steps
    samples = fill(folder / "short", num_steps * arguments.batch)
    speeds: dict[str, list[float]] = {"radspark": [], "fixed batch": []}
    for _ in range(arguments.rounds):
        outcome = run_steps(samples, fresh_state(arguments), arguments, device, num_steps=num_steps)
        timed = outcome.steps[WARM_UP:]
        speeds["radspark"].append(sum(step.num_samples for step in timed) / sum(step.seconds for step in timed))
        speeds["fixed batch"].append(run_fixed(arguments, device))
    for contender, values in speeds.items():
        print(f"  {contender:11} {statistics.median(values):8.1f} images/s ({', '.join(f'{v:.1f}' for v in values)})")
    pairs = [ours / fixed for ours, fixed in zip(*speeds.values(), strict=True)]
    print(f"  radspark / fixed batch: {statistics.median(pairs):.3f} (median of pairs)", flush=True)


def run_epochs(folder: Path, arguments: argparse.Namespace, device: torch.device) -> None:
    train, validation = fill(folder / "train", EPOCH_IMAGES), fill(folder / "validation", VALIDATION_IMAGES)
    state, seconds = fresh_state(arguments), []
    num_steps = math.ceil(EPOCH_IMAGES / arguments.batch)
    while sum(seconds) < 60 * arguments.minutes:
        started = time.perf_counter()
        outcome = run_steps(train, state, arguments, device, num_steps=num_steps, validation=validation)
        state = outcome.state.pack().unpack()
        seconds.append(time.perf_counter() - started)
        steps = sum(step.seconds for step in outcome.steps)
        print(f"  epoch {len(seconds)}: {seconds[-1]:.1f} s, of which steps {steps:.1f} s", flush=True)
    hours = EPOCHS * statistics.median(seconds) / 3600
    print(f"  {EPOCHS} epochs of {EPOCH_IMAGES:,} images, and {VALIDATION_IMAGES:,} scored after each: {hours:.2f} h")


def fill(folder: Path, size: int) -> CachedShard:
    """A shard in the cache, as Spark's tasks fill one."""
    name = ShardName("train", 0, 1)
    cache = ShardCache(Room((folder,)), image_size=PREPARED_SIZE, num_findings=NUM_FINDINGS)
    rng = np.random.default_rng(0)

    def batch(start: int) -> SampleBatch:
        indices = np.arange(start, min(size, start + CHUNK))
        images = rng.integers(0, 256, (len(indices), PREPARED_SIZE, PREPARED_SIZE), np.uint8)
        labels = rng.integers(0, 2, (len(indices), NUM_FINDINGS)).astype(np.float32)
        return SampleBatch(name, indices, images, labels, indices)

    cache.fill({name: size}, (batch(start) for start in range(0, size, CHUNK)))
    return cache.open(name, size)


def make_network(model: ModelSettings, *, compiled: bool) -> XRayNetwork:
    network = build_network(model, NUM_FINDINGS, seed=0)
    if compiled:
        network.compile()
    return network


def make_recipe(arguments: argparse.Namespace) -> Recipe:
    return Recipe(
        augmentation=AugmentationSettings(flip=0.5, crop="random"),
        model=ModelSettings(backbone=arguments.backbone, input_size=arguments.crop),
        optimizer=OptimizerSettings(name="sgd", learning_rate=1e-3),
        training=TrainingSettings(
            batch_size=arguments.batch, micro_batch_size=arguments.batch, precision=arguments.precision
        ),
    )


def fresh_state(arguments: argparse.Namespace) -> TrainingState:
    recipe = make_recipe(arguments)
    network = build_network(recipe.model, NUM_FINDINGS, seed=0)
    return capture(network, build_optimizer(list(network.named_parameters()), recipe.optimizer), step=0)


def run_steps(
    samples: CachedShard,
    state: TrainingState,
    arguments: argparse.Namespace,
    device: torch.device,
    *,
    num_steps: int,
    validation: CachedShard | None = None,
) -> RoundOutcome:
    """An epoch, of which the whole is one round."""
    recipe = make_recipe(arguments)
    spec = RoundSpec(
        recipe=recipe,
        build_network=partial(make_network, recipe.model, compiled=arguments.compile),
        plan=ShardPlan((len(samples),), arguments.batch, arguments.batch, seed=0),
        positive_weights=None,
        first_step=state.step,
        learning_rates=(1e-3,) * num_steps,
        seconds=math.inf,
    )
    return run_round(
        spec,
        state,
        train={0: samples},
        validation={} if validation is None else {0: validation},
        group=SingleWorker(),
        on_step=tell_nobody,
        device=device,
    )


def tell_nobody(step: StepRecord) -> None:
    pass


def run_fixed(arguments: argparse.Namespace, device: torch.device) -> float:
    """Images per second of a plain loop over one batch that is there already."""
    recipe = make_recipe(arguments)
    network: Any = make_network(recipe.model, compiled=arguments.compile)
    network = network.to(device, memory_format=torch.channels_last).train()
    optimizer = build_optimizer(list(network.named_parameters()), recipe.optimizer)
    loss = torch.nn.BCEWithLogitsLoss()
    images = torch.randint(0, 256, (arguments.batch, 1, arguments.crop, arguments.crop), dtype=torch.uint8).to(device)
    labels = torch.randint(0, 2, (arguments.batch, NUM_FINDINGS)).float().to(device)
    rounded = arguments.precision == "bfloat16"
    for step in range(WARM_UP + arguments.steps):
        if step == WARM_UP:
            wait_for(device)
            started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16) if rounded else nullcontext():
            logits = network(images)
        loss(logits.float(), labels).backward()
        optimizer.step()
    wait_for(device)
    return arguments.steps * arguments.batch / (time.perf_counter() - started)


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
