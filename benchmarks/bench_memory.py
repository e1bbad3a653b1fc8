"""Peak memory of a training run on this machine: the sum of PSS over the driver, the JVM and all Python workers.

Run: python benchmarks/bench_memory.py --images FOLDER [--backbone resnet50 --micro-batch 8 --workers 2 --shards 4]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import psutil

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--micro-batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--shards", type=int, help="each has a micro-batch in a step (default: the workers)")
    arguments = parser.parse_args()
    arguments.shards = arguments.shards or arguments.workers
    names = ("images", "backbone", "micro_batch", "workers", "steps", "shards")
    options = [item for name in names for item in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))]
    script = Path(__file__).with_name("bench_training.py")
    run = subprocess.Popen([sys.executable, str(script), *options, "--contender", "radspark"])
    peak: dict[str, int] = {}
    while run.poll() is None:
        usage = proportional_set_sizes(run.pid)
        if sum(usage.values()) > sum(peak.values()):
            peak = usage
        time.sleep(0.5)
    print(
        f"{arguments.backbone}, {arguments.workers} workers, {arguments.shards} shards of {arguments.micro_batch}: "
        "peak of the sum of PSS"
    )
    for name, size in sorted(peak.items(), key=lambda item: -item[1]):
        print(f"  {size / MIB:7.0f} MiB  {name}")
    print(f"  {sum(peak.values()) / MIB:7.0f} MiB  all")


def proportional_set_sizes(root: int) -> dict[str, int]:
    """PSS in bytes by process of a tree; shared pages count once in the sum."""
    sizes: dict[str, int] = {}
    try:
        processes = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    except psutil.NoSuchProcess:
        return sizes
    for process in processes:
        try:
            sizes[f"{process.name()} {process.pid}"] = process.memory_full_info().pss
        except psutil.Error:  # noqa: PERF203
            continue
    return sizes


if __name__ == "__main__":
    main()
