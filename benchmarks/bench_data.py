"""Spark jobs and seconds of `radspark data check` and `radspark data prepare`, each in a process of its own.

    python benchmarks/bench_data.py --data-dir ../shared/data/nih-1024 [--rounds 3]

Seconds are from the imports on, the start of Spark included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dataset", default="nih")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(measure(arguments.run)))
        return
    figures: dict[str, list[tuple[int, float]]] = {"check": [], "prepare": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(arguments.rounds):
            for command, values in figures.items():
                words = ["data", command, "--dataset", arguments.dataset, "--data-dir", str(arguments.data_dir)]
                words += ["--out", f"{scratch}/{command}-{number}"]
                script = [sys.executable, __file__, "--data-dir", str(arguments.data_dir), "--run", *words]
                run = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True)
                values.append(tuple(json.loads(run.stdout.splitlines()[-1])))
    for command, values in figures.items():
        jobs, seconds = zip(*values, strict=True)
        shown = ", ".join(f"{value:.1f}" for value in seconds)
        print(f"data {command}: {max(jobs)} jobs, {statistics.median(seconds):.1f} s ({shown})")


def measure(words: list[str]) -> tuple[int, float]:
    """Jobs and seconds of one command line in this process."""
    start = time.perf_counter()
    from pyspark.sql import SparkSession

    from radspark.cli.main import run

    try:
        run(words)
    except SystemExit:
        seconds = time.perf_counter() - start
    spark = SparkSession.getActiveSession()
    assert spark is not None, "the command started Spark"
    context = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    return context.statusStore().jobsList(None).size(), seconds


if __name__ == "__main__":
    main()
