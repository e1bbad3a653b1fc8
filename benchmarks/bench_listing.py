"""What the driver holds per million radiographs: Python's and Java's memory while a data set of many files is matched.

    python benchmarks/bench_listing.py --files 250000 [--heap 4g]

The files are of one byte and lie in folders of 10,000, as a large archive's do; the label table has a row for each.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from radspark.datasets.reading import Source
from radspark.frames import get_session, read_images
from radspark.samples.join import match_labels
from radspark.settings import SplitSettings

FILES_PER_FOLDER = 10_000
RULES = {"patient": "patient", "findings": {"Effusion": "Effusion"}}


def write_data_set(folder: Path, num_files: int) -> None:
    """A table with a row for each of so many files; every patient has four."""
    with (folder / "labels.csv").open("w", encoding="ascii") as table:
        table.write("image_id,patient,Effusion\n")
        for start in range(0, num_files, FILES_PER_FOLDER):
            part = folder / "images" / f"{start // FILES_PER_FOLDER:05d}"
            part.mkdir(parents=True)
            for number in range(start, min(start + FILES_PER_FOLDER, num_files)):
                (part / f"{number:08d}_000.png").write_bytes(b"\0")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=250_000)
    parser.add_argument("--heap", default="1g", help="of the embedded Spark")
    arguments = parser.parse_args()
    os.environ["SPARK_DRIVER_MEMORY"] = arguments.heap
    millions = arguments.files / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        write_data_set(Path(scratch), arguments.files)
        spark = get_session(master="local[2]", app_name="bench-listing")
        spark.range(10).count()
        python, heap, start = count_python(), count_heap(spark), time.perf_counter()
        matched = match_labels(spark, Source("table", scratch, RULES), split=SplitSettings(policy="patient"))
        print(f"{matched.counts.matched:,} files matched in {time.perf_counter() - start:.0f} s")
        print(
            f"held while they are used, per million: Python {(count_python() - python) / millions:,.0f} MiB, "
            f"Java {(count_heap(spark) - heap) / millions:,.0f} MiB"
        )
        start = time.perf_counter()
        images = read_images(spark, matched.frame.select("path"))
        print(f"planned reading in {time.perf_counter() - start:.0f} s: {len(images.columns)} columns")
        print(
            f"and while they are read, per million: Python {(count_python() - python) / millions:,.0f} MiB, "
            f"Java {(count_heap(spark) - heap) / millions:,.0f} MiB"
        )
        spark.stop()


if __name__ == "__main__":
    main()
