"""What the driver holds per million radiographs: Python's and Java's memory while a data set is matched and checked.

    python benchmarks/bench_listing.py --files 100000 [--heap 4g] [--check]

The files are PNGs of 16 x 16 noise and lie in folders of 10,000, as a large archive's do; the label table has a row for
each. Java's heap is counted after cleaning up; it is the executor's too, and so holds what Spark keeps of each
radiograph that was checked.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from pyspark.sql import SparkSession

from radspark.datasets.reading import Source
from radspark.frames import get_session, read_images
from radspark.samples.check import check_dataset
from radspark.samples.join import match_labels
from radspark.settings import PreparationSettings, SplitSettings

FILES_PER_FOLDER = 10_000
RULES = {"patient": "patient", "findings": {"Effusion": "Effusion"}}
SPLIT = SplitSettings(policy="patient")
SIDE = 16


def write_data_set(folder: Path, num_files: int) -> None:
    """A table with a row for each of so many files; every patient has four."""
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", encoding="ascii") as table:
        table.write("image_id,patient,Effusion\n")
        for start in range(0, num_files, FILES_PER_FOLDER):
            part = folder / "images" / f"{start // FILES_PER_FOLDER:05d}"
            part.mkdir(parents=True)
            for number in range(start, min(start + FILES_PER_FOLDER, num_files)):
                noise = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
                Image.fromarray(noise).save(part / f"{number:08d}_000.png", compress_level=0)
                table.write(f"{number:08d}_000.png,{number // 4:08d},{number % 2}\n")


def count_heap(spark: SparkSession) -> float:
    """MiB that Java holds after cleaning up."""
    runtime = spark.sparkContext._jvm.java.lang.Runtime.getRuntime()
    for _ in range(3):
        runtime.gc()
        time.sleep(0.5)
    return (runtime.totalMemory() - runtime.freeMemory()) / 2**20


def count_python() -> float:
    """MiB of this process."""
    return psutil.Process().memory_info().rss / 2**20


def count_python_peak() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--heap", default="1g", help="of the embedded Spark")
    parser.add_argument("--check", action="store_true", help="check the data set, rather than plan to read it")
    arguments = parser.parse_args()
    os.environ["SPARK_DRIVER_MEMORY"] = arguments.heap
    millions = arguments.files / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        write_data_set(Path(scratch), arguments.files)
        spark = get_session(master="local[2]", app_name="bench-listing")
        spark.range(10).count()
        source = Source("table", scratch, RULES)
        python, heap = count_python(), count_heap(spark)

        def report(what: str, start: float, python_now: float) -> None:
            seconds = time.perf_counter() - start
            held = [(now - before) / millions for now, before in ((python_now, python), (count_heap(spark), heap))]
            print(f"{what}: {seconds:.0f} s; per million: Python {held[0]:,.0f} MiB, Java {held[1]:,.0f} MiB")

        start = time.perf_counter()
        if arguments.check:
            with check_dataset(spark, source, preparation=PreparationSettings(size=SIDE), split=SPLIT) as found:
                num_placed = sum(1 for _ in found.list_placed())
                report(f"{num_placed:,} files checked, Python at its peak", start, count_python_peak())
        else:
            matched = match_labels(spark, source, split=SPLIT)
            report(f"{matched.counts.matched:,} files matched", start, count_python())
            start = time.perf_counter()
            images = read_images(spark, matched.frame.select("path"))
            report(f"reading planned, {len(images.columns)} columns", start, count_python())
        spark.stop()


if __name__ == "__main__":
    main()
