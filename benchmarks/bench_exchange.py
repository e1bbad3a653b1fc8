"""What the sum of gradients costs beside a step, after the backward pass and during it, in float32 and bfloat16.

Workers are processes of one thread each; network, group, sum and update are the engine's. Each round steps with each
contender in turn; `alone` exchanges nothing. Printed are medians of the seconds of a step. With --gbits each worker has
that much of the loopback, in a network namespace of its own; that needs root.

Run: python benchmarks/bench_exchange.py [--backbone resnet50] [--images 8] [--workers 2] [--gbits 1]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

from radspark.nn.network import build_network
from radspark.nn.optimizers import build_optimizer
from radspark.settings import ModelSettings, OptimizerSettings
from radspark.training.collective import Group, SingleWorker, join_group, open_store, reach_store
from radspark.training.gradients import MicroBatch
from radspark.training.step import Stepper
from radspark.training.tree import ShardSum

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 600.0
NUM_FINDINGS = 14
CONTENDERS = ["alone", *(f"{travel}, {when}" for travel in ("float32", "bfloat16") for when in ("after", "during"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--crop", type=int, default=224, help="side of the network's input")
    parser.add_argument("--images", type=int, default=8, help="of a worker and step")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--gbits", type=float, help="of a worker's link; as fast as the loopback is without it")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.gbits and not arguments.inside:
        shape = f"tc qdisc add dev lo root tbf rate {1000 * arguments.gbits * arguments.workers:.0f}mbit"
        script = f'ip link set lo up && {shape} burst 256kb limit 64mb && exec "$@"'
        own = [sys.executable, __file__, *sys.argv[1:], "--inside"]
        sys.exit(subprocess.run(["unshare", "--net", "bash", "-c", script, "bash", *own], check=False).returncode)
    link = f"links of {arguments.gbits:g} Gb/s" if arguments.gbits else "the loopback as it is"
    print(f"{arguments.backbone}, {arguments.workers} workers of {arguments.images} images, {link}", flush=True)
    for name, seconds in measure(arguments).items():
        print(f"  {name:16} {statistics.median(seconds):.3f} s a step (least {min(seconds):.3f})")


def measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each step, as the first worker saw them."""
    store = open_store(HOST, timeout_seconds=TIMEOUT_SECONDS)
    inbox, outbox = multiprocessing.Pipe(duplex=False)
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=work, args=(rank, store.port, arguments, outbox)) for rank in range(arguments.workers)
    ]
    for worker in workers:
        worker.start()
    seconds: dict[str, list[float]] = inbox.recv()
    for worker in workers:
        worker.join()
    return seconds


def work(rank: int, port: int, arguments: argparse.Namespace, outbox: Connection) -> None:
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (arguments.images, 1, arguments.crop, arguments.crop), dtype=torch.uint8)
    labels = torch.randint(0, 2, (arguments.images, NUM_FINDINGS)).float()
    batch = MicroBatch(images, labels, dropout_seed=0, is_last=True)
    store = reach_store(HOST, port, timeout_seconds=TIMEOUT_SECONDS)
    hosts = [HOST] * arguments.workers
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with (
        join_group(store, rank=rank, hosts=hosts, timeout_seconds=TIMEOUT_SECONDS) as group,
        ThreadPoolExecutor(1) as thread,
    ):
        steppers = {name: make_stepper(name, arguments, group, thread) for name in CONTENDERS}
        for _ in range(1 + arguments.rounds):
            for name, stepper in steppers.items():
                group.sum_(torch.zeros(1))  # all start together
                started = time.perf_counter()
                stepper.step({rank: [batch]}, learning_rate=1e-4)
                seconds[name].append(time.perf_counter() - started)
    if rank == 0:
        outbox.send({name: values[1:] for name, values in seconds.items()})


def make_stepper(name: str, arguments: argparse.Namespace, group: Group, thread: ThreadPoolExecutor) -> Stepper:
    travel, _, when = name.partition(", ")
    settings = OptimizerSettings(name="sgd", learning_rate=1e-4)
    model = ModelSettings(backbone=arguments.backbone, input_size=arguments.crop)
    network = build_network(model, NUM_FINDINGS, seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    own = SingleWorker() if name == "alone" else group
    return Stepper(
        network,
        build_optimizer(list(network.named_parameters()), settings),
        settings=settings,
        positive_weights_C=None,
        precision=torch.float32,
        shard_sum=ShardSum(own, num_shards=own.size),
        exchange=torch.float32 if name == "alone" else getattr(torch, travel),
        thread=thread if when == "during" else None,
    )


if __name__ == "__main__":
    main()
