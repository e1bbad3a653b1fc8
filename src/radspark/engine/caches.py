"""Where an executor keeps the samples of a run between its rounds, and how they are removed when it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
import pyarrow as pa

from radspark.engine.feeding import RoundJob
from radspark.frames.leftovers import claim_folder
from radspark.settings import CacheLevel
from radspark.training.cache import ShardCache
from radspark.training.room import Room, free_in_memory, make_folders

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  its files are in a folder of mode 0700


@contextmanager
def open_cache(job: RoundJob) -> Iterator[ShardCache]:
    """The samples that workers of this executor share; with level `none` a worker's own, which go with the block."""
    with _room(job).private() if job.cache_level == "none" else nullcontext("") as part:
        yield shared_cache(job, part)


def shared_cache(job: RoundJob, part: str = "") -> ShardCache:
    """The samples that workers of this executor share, whatever the level, unless the part is private."""
    return ShardCache(_room(job), image_size=job.image_size, num_findings=job.num_findings, part=part)


def remove_cache(nothing: Iterable[object], *, run_id: str, level: CacheLevel) -> None:
    """Remove a run's samples from this executor, for `foreachPartition`."""
    for _ in nothing:
        continue
    _remove(run_id, level)


def remove_caches(batches: Iterator[pa.RecordBatch], *, run_id: str, level: CacheLevel) -> Iterator[pa.RecordBatch]:
    """Remove a run's samples from this executor, for `mapInArrow(barrier=True)`."""
    _remove(run_id, level)
    yield from batches


def _remove(run_id: str, level: CacheLevel) -> None:
    for folder in cache_folders(run_id, level):
        shutil.rmtree(folder, ignore_errors=True)


def _room(job: RoundJob) -> Room:
    folders = make_folders(cache_folders(job.run_id, job.cache_level))
    # Of what is fed later, workers hand each other some, and then keep less: `worker.check_room` looks at the limit.
    limit = job.limit_bytes if len(job.fed) == job.num_shards else None
    if _is_in_memory(job.cache_level):
        remedy = "choose cache_level disk, give the executors' machine or container more"
        return Room(folders, limit, free_in_memory, place="shared memory (/dev/shm)", remedy=remedy)
    return Room(folders, limit)


def cache_folders(run_id: str, level: CacheLevel) -> tuple[Path, ...]:
    """In Spark's local directories, which go with the executor, or in memory; there it goes with the next one."""
    if _is_in_memory(level):
        return (claim_folder(SHARED_MEMORY / f"radspark-{os.getuid()}", _executor()) / run_id,)
    bases = os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")
    return tuple(Path(base) / "radspark" / run_id for base in bases)


def _is_in_memory(level: CacheLevel) -> bool:
    return level == "memory" and SHARED_MEMORY.is_dir()


def _executor() -> psutil.Process:
    """The JVM behind this Python worker."""
    ancestors = psutil.Process().parents()
    return next((process for process in ancestors if process.name().startswith("java")), ancestors[0])
