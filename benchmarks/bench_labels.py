"""Spark jobs and seconds from a label table to matched samples: `match_labels`, then one action on what it gives.

    python benchmarks/bench_labels.py --data-dir ../shared/data/nih-256 [--rounds 3]

The first round, in which Java compiles, is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from pyspark.sql import SparkSession

from radspark.datasets.reading import Source
from radspark.frames import get_session
from radspark.samples.join import match_labels


def count_jobs(spark: SparkSession) -> int:
    """Jobs that the session has started so far."""
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dataset", default="nih")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    spark = get_session(master="local[2]", app_name="bench-labels")
    rounds = []
    for _ in range(arguments.rounds + 1):
        before, start = count_jobs(spark), time.perf_counter()
        matched = match_labels(spark, Source(arguments.dataset, arguments.data_dir))
        middle, between = count_jobs(spark), time.perf_counter()
        matched.frame.write.format("noop").mode("overwrite").save()
        rounds.append((middle - before, between - start, count_jobs(spark) - middle, time.perf_counter() - between))
    jobs, seconds, later_jobs, later_seconds = (statistics.median(values) for values in zip(*rounds[1:], strict=True))
    print(f"{matched.counts.labeled:,} rows, {matched.counts.files:,} files, medians of {arguments.rounds} rounds")
    print(f"match_labels: {jobs:.0f} jobs, {seconds:.2f} s; one action: {later_jobs:.0f} jobs, {later_seconds:.2f} s")
    print(f"cached blocks left: {spark.sparkContext._jsc.getPersistentRDDs().size()}")
    spark.stop()


if __name__ == "__main__":
    main()
