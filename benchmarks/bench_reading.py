"""Reading 1024 px PNGs to prepared 256 px images: read_images beside bare decoder processes, as a ratio.

    python benchmarks/bench_reading.py --images ../shared/data/nih-1024/images

Both sides read the same files with the same number of processes, in turn; Spark's session and its Python workers have
started before. The bare side is Pillow's decode and resize, with the files given out in advance and nothing returned.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from pyspark.sql import SparkSession

from radspark.frames import get_session, read_images


def replicate(source: Path, target: Path, num_files: int) -> list[Path]:
    """Copies of the images under distinct names, so that every read is of a file of its own."""
    originals = sorted(source.glob("*.png"))
    copies = [target / f"{i:05d}.png" for i in range(num_files)]
    for i, copy in enumerate(copies):
        shutil.copyfile(originals[i % len(originals)], copy)
    return copies


def decode_bare(paths: list[Path]) -> int:
    """Sum of the greys, so that the work cannot be skipped."""
    total = 0
    for path in paths:
        with Image.open(path) as image:
            grey = image.convert("L").resize((256, 256), Image.Resampling.BILINEAR)
        total += int(np.asarray(grey).sum(dtype=np.int64))
    return total


def time_bare(pool: ProcessPoolExecutor, paths: list[Path], processes: int) -> float:
    start = time.perf_counter()
    list(pool.map(decode_bare, [paths[i::processes] for i in range(processes)]))
    return time.perf_counter() - start


def time_spark(spark: SparkSession, folder: Path) -> float:
    start = time.perf_counter()
    read_images(spark, str(folder), size=256).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of 1024 px PNGs")
    parser.add_argument("--num-files", type=int, default=600)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    processes = arguments.processes
    spark = get_session(master=f"local[{processes}]")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(processes) as pool:
        folder = Path(scratch)
        paths = replicate(arguments.images, folder, arguments.num_files)
        time_bare(pool, paths, processes)
        time_spark(spark, folder)
        pairs = [(time_bare(pool, paths, processes), time_spark(spark, folder)) for _ in range(arguments.repeats)]
    bare, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{len(paths)} files, {processes} processes, medians of {len(pairs)} interleaved runs")
    print(f"bare decoders {len(paths) / bare:6.1f} images/s")
    print(f"read_images   {len(paths) / ours:6.1f} images/s")
    print(f"ratio {statistics.median(one / other for one, other in pairs):.2f}")


if __name__ == "__main__":
    main()
