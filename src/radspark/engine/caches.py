"""Where an executor keeps the samples of a run between its rounds, and how they are removed when it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa

from radspark.frames.leftovers import claim_folder
from radspark.settings import CacheLevel

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  its files are in a folder of mode 0700


@contextmanager
def cache_folder(run_id: str, level: CacheLevel, *, worker: int) -> Iterator[Path]:
    """The folder of a run's samples, shared by the workers of an executor; with level `none` it goes with the block."""
    folder = _folder(run_id, level)
    if level != "none":
        yield folder
        return
    try:
        yield folder / f"worker-{worker}"
    finally:
        shutil.rmtree(folder / f"worker-{worker}", ignore_errors=True)


def remove_cache(nothing: Iterable[object], *, run_id: str, level: CacheLevel) -> None:
    """Remove a run's samples from this executor, for `foreachPartition`."""
    for _ in nothing:
        continue
    shutil.rmtree(_folder(run_id, level), ignore_errors=True)


def remove_caches(batches: Iterator[pa.RecordBatch], *, run_id: str, level: CacheLevel) -> Iterator[pa.RecordBatch]:
    """Remove a run's samples from this executor, for `mapInArrow(barrier=True)`."""
    shutil.rmtree(_folder(run_id, level), ignore_errors=True)
    yield from batches


def _folder(run_id: str, level: CacheLevel) -> Path:
    """In Spark's first local directory, which goes with the executor, or in memory; there it goes with the next one."""
    if level == "memory" and SHARED_MEMORY.is_dir():
        base = claim_folder(SHARED_MEMORY / f"radspark-{os.getuid()}", _executor())
    else:
        base = Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0]) / "radspark"
    return base / run_id


def _executor() -> psutil.Process:
    """The JVM behind this Python worker."""
    ancestors = psutil.Process().parents()
    return next((process for process in ancestors if process.name().startswith("java")), ancestors[0])
