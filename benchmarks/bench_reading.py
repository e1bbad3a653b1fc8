"""Reading radiographs to prepared 256 px images: read_images beside bare decoder processes, as ratios.

    python benchmarks/bench_reading.py --images ../shared/data/nih-1024/images
    python benchmarks/bench_reading.py --images ../shared/data/nih-1024/dicom

All sides read the same files with the same number of processes, in turn; Spark's session and its Python workers have
started before. The bare sides are given their files in advance and return nothing: `library` is Pillow's decode and
resize, for DICOM pydicom's pixels and Pillow's resize; `radspark` is `read_file`; `isolated` is all that a Spark task
runs, decoders in a process of their own and Arrow batches, but without Spark. What `read_images` takes beyond that is
Spark's share. Besides the clock, which other users of the machine slow, it adds up the processor time of all processes,
Java's too.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pydicom
from PIL import Image
from pyspark.sql import SparkSession

from radspark.frames import get_session, read_images
from radspark.frames.batches import prepare_batches
from radspark.identifiers import get_identifiers
from radspark.images import ImageLimits, read_file
from radspark.settings import PreparationSettings


def replicate(source: Path, target: Path, num_files: int) -> list[Path]:
    """Copies of the images under distinct names, so that every read is of a file of its own."""
    originals = sorted(path for path in source.iterdir() if path.suffix in (".png", ".dcm"))
    target.mkdir()
    copies = [target / f"{i:05d}{originals[i % len(originals)].suffix}" for i in range(num_files)]
    for i, copy in enumerate(copies):
        shutil.copyfile(originals[i % len(originals)], copy)
    return copies


def read_by_library(path: Path) -> np.ndarray:
    """Decode and resize as one would without radspark."""
    if path.suffix == ".dcm":
        image = Image.fromarray(pydicom.dcmread(path).pixel_array)
    else:
        image = Image.open(path).convert("L")
    return np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR))


def read_by_radspark(path: Path) -> np.ndarray:
    reading = read_file(path.read_bytes(), PreparationSettings(size=256))
    assert reading.pixels is not None, reading.error
    return reading.pixels


def decode_bare(read: Callable[[Path], np.ndarray], paths: list[Path]) -> int:
    """Sum of the greys, so that the work cannot be skipped."""
    return sum(int(read(path).sum(dtype=np.int64)) for path in paths)


def decode_isolated(paths: list[Path]) -> int:
    """The bytes of the Arrow batches that a task would give to Spark."""
    settings, identifiers = PreparationSettings(size=256), get_identifiers("drop")
    batches = prepare_batches(list_files(paths), settings=settings, limits=ImageLimits(), identifiers=identifiers)
    return sum(batch.nbytes for batch in batches)


def list_files(paths: list[Path], batch_size: int = 256) -> Iterator[pa.RecordBatch]:
    """Arrow batches as Spark makes them of files on a local disk: without contents."""
    for part in (paths[i : i + batch_size] for i in range(0, len(paths), batch_size)):
        uris = [f"file:{path}" for path in part]
        lengths = pa.array([path.stat().st_size for path in part], pa.int64())
        yield pa.record_batch({"path": uris, "length": lengths, "content": pa.nulls(len(part), pa.binary())})


def time_bare(
    pool: ProcessPoolExecutor, decode: Callable[[list[Path]], int], paths: list[Path], processes: int
) -> float:
    start = time.perf_counter()
    list(pool.map(decode, [paths[i::processes] for i in range(processes)]))
    return time.perf_counter() - start


def count_cpu() -> float:
    """Processor seconds of this process and of all below it, those that have ended too."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (me, *me.children(recursive=True)))


def time_spark(spark: SparkSession, folder: Path) -> float:
    start = time.perf_counter()
    read_images(spark, str(folder), size=256).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of PNG or DICOM files")
    parser.add_argument("--num-files", type=int, default=600)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sides", nargs="+", default=["library", "radspark", "isolated", "read_images"])
    arguments = parser.parse_args()
    processes = arguments.processes
    spark = get_session(master=f"local[{processes}]")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(processes) as pool:
        folder, few = Path(scratch) / "all", Path(scratch) / "few"
        paths = replicate(arguments.images, folder, arguments.num_files)
        replicate(arguments.images, few, processes)
        sides: dict[str, Callable[[], float]] = {
            "library": lambda: time_bare(pool, functools.partial(decode_bare, read_by_library), paths, processes),
            "radspark": lambda: time_bare(pool, functools.partial(decode_bare, read_by_radspark), paths, processes),
            "isolated": lambda: time_bare(pool, decode_isolated, paths, processes),
            "read_images": lambda: time_spark(spark, folder),
        }
        rounds = []
        for _ in range(1 + arguments.repeats):
            times = {}
            for name in arguments.sides:
                time_spark(spark, few)  # Spark ends Python workers that had nothing to do for a minute
                times[name] = measure(sides[name])
            rounds.append(times)
    rounds = rounds[1:]
    print(f"{len(paths)} files, {processes} processes, medians of {len(rounds)} interleaved runs")
    for name in arguments.sides:
        clock, cpu = (statistics.median(times[name][i] for times in rounds) for i in range(2))
        print(f"{name:12} {len(paths) / clock:7.1f} images/s, {1000 * cpu / len(paths):6.2f} ms of processor per image")
    for one, other in (("radspark", "library"), ("read_images", "library"), ("read_images", "isolated")):
        if not {one, other} <= set(arguments.sides):
            continue
        clock, cpu = (statistics.median(times[other][i] / times[one][i] for times in rounds) for i in range(2))
        print(f"{one} / {other}: {clock:.2f} by the clock, {cpu:.2f} by processor time")


def measure(run: Callable[[], float]) -> tuple[float, float]:
    """Seconds on the clock, and of processors."""
    before = count_cpu()
    clock = run()
    return clock, count_cpu() - before


if __name__ == "__main__":
    main()
