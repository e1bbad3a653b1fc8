"""What the sum of a step's gradients costs on a loopback: the clock, and each worker's own processor time.

Workers are processes of one thread each; the group and the sum are the engine's. Printed are medians over the steps.

Run: python benchmarks/bench_exchange.py [--parameters 23.5e6] [--workers 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import torch

from radspark.training.collective import join_group, open_store, reach_store
from radspark.training.tree import ShardSum

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=23_530_446, help="ResNet-50 with 14 findings by default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=9)
    arguments = parser.parse_args()
    store = open_store(HOST, timeout_seconds=TIMEOUT_SECONDS)
    inbox, outbox = multiprocessing.Pipe(duplex=False)
    others = [
        multiprocessing.get_context("spawn").Process(target=work, args=(rank, store.port, arguments, outbox))
        for rank in range(arguments.workers)
    ]
    for process in others:
        process.start()
    told = [inbox.recv() for _ in others]
    for process in others:
        process.join()
    print(f"{arguments.parameters:.3g} parameters, {arguments.workers} workers")
    for travel in ("float32", "bfloat16"):
        clock, own = (statistics.median(one[travel][i] for one in told) for i in range(2))
        print(f"  {travel:8}: {clock:.3f} s on the clock, {own:.3f} s of each worker's processor")


def work(rank: int, port: int, arguments: argparse.Namespace, outbox: Connection) -> None:
    """One worker: sends, for each type of number, the median seconds on the clock and of the processor."""
    torch.set_num_threads(1)
    length = -(-int(arguments.parameters) // arguments.workers) * arguments.workers
    gradients, out = torch.randn(length), torch.empty(length)
    told = {}
    store = reach_store(HOST, port, timeout_seconds=TIMEOUT_SECONDS)
    hosts = [HOST] * arguments.workers
    with join_group(store, rank=rank, hosts=hosts, timeout_seconds=TIMEOUT_SECONDS) as group:
        add_up = ShardSum(group, num_shards=arguments.workers)
        for name in ("float32", "bfloat16"):
            times = []
            for _ in range(arguments.steps):
                own = gradients.clone()
                clock, processor = time.perf_counter(), time.process_time()
                add_up([own], out, travel=getattr(torch, name))
                times.append((time.perf_counter() - clock, time.process_time() - processor))
            told[name] = [statistics.median(column) for column in zip(*times, strict=True)]
    outbox.send(told)


if __name__ == "__main__":
    main()
