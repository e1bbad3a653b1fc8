"""What joining into one group costs with many workers: seconds, and open files of each, all processes on this machine.

Every worker connects to every other (gloo), and once more to those it exchanges with across hosts; here each stands for
a host of its own. The processes are forks of one that has imported torch, so that hundreds of them fit into memory.

Run: OMP_NUM_THREADS=1 python benchmarks/scaling/bench_joining.py [--workers 32 64 128 256]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from radspark.training.collective import join_group, open_store, reach_store

HOST = "127.0.0.1"
SECONDS = 600.0
EXCHANGES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[32, 64, 128, 256])
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for num_workers in arguments.workers:
        told = measure(num_workers)
        join, part, exchange = (max(one[name] for one in told) for name in ("join", "part", "exchange"))
        files = max(one["files"] for one in told)
        print(
            f"{num_workers:4} workers: joined in {join:.1f} s, a part of them in {part:.1f} s, an exchange of short "
            f"messages in {1000 * exchange:.0f} ms, {files} open files each",
            flush=True,
        )


def measure(num_workers: int) -> list[dict[str, Any]]:
    """What each worker of a group saw."""
    fork = multiprocessing.get_context("fork")
    ports, give_port = fork.Pipe(duplex=False)
    answers: Any = fork.SimpleQueue()
    workers = [fork.Process(target=work, args=(0, num_workers, None, give_port, answers))]
    workers[0].start()
    port = ports.recv()
    workers += [
        fork.Process(target=work, args=(rank, num_workers, port, None, answers)) for rank in range(1, num_workers)
    ]
    for worker in workers[1:]:
        worker.start()
    told = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return told


def work(rank: int, num_workers: int, port: int | None, give_port: Connection | None, answers: Any) -> None:
    """One worker; rank 0 opens the store and tells its port."""
    if port is None:
        assert give_port is not None
        store = open_store(HOST, timeout_seconds=SECONDS)
        give_port.send(store.port)
    else:
        store = reach_store(HOST, port, timeout_seconds=SECONDS)
    started = time.monotonic()
    with join_group(store, rank=rank, hosts=[HOST] * num_workers, timeout_seconds=SECONDS) as group:
        joined = time.monotonic()
        across = group.part(range(num_workers))
        parted = time.monotonic()
        times = []
        for _ in range(EXCHANGES):
            before = time.monotonic()
            part = across.swap(torch.zeros(num_workers), [1] * num_workers)[:1]
            across.gather(part.clone())
            times.append(time.monotonic() - before)
        answers.put(
            {
                "join": joined - started,
                "part": parted - joined,
                "exchange": sorted(times)[EXCHANGES // 2],
                "files": len(list(Path("/proc/self/fd").iterdir())),
            }
        )
        group.sum_(torch.zeros(1))


if __name__ == "__main__":
    main()
