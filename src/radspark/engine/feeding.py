"""What executors are told and keep of the samples: shards filled from Spark's rows, and opened for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from radspark.settings import CacheLevel
from radspark.training.cache import CachedShard, SampleBatch, ShardCache, ShardName
from radspark.training.room import GB
from radspark.training.shards import shard_sizes, shards_of_worker


@dataclass(frozen=True)
class RoundJob:
    """What every worker of a round is told about the others and the samples."""

    run_id: str
    round_name: str
    """As Spark's page and the workers' logs call it."""
    num_workers: int
    num_shards: int
    image_size: int
    num_findings: int
    samples: dict[str, int]
    """Split to number of samples."""
    fed: frozenset[int]
    """Shards whose samples come with this job."""
    cores_per_worker: int
    cache_level: CacheLevel
    cache_gb: float | None

    @property
    def limit_bytes(self) -> int | None:
        """Most that an executor may keep; None: what is free."""
        return None if self.cache_gb is None else int(self.cache_gb * GB)

    def feeding(self, shards: frozenset[int]) -> RoundJob:
        """The same job with other shards sent."""
        return replace(self, fed=shards)

    def names(self, shards: Iterable[int]) -> list[ShardName]:
        """The parts of all splits that stand for some shards."""
        return [ShardName(split, shard, self.num_shards) for split in self.samples for shard in shards]

    def size(self, name: ShardName) -> int:
        """Samples of a part."""
        return shard_sizes(self.samples[name.split], self.num_shards)[name.shard]

    def shards(self, rank: int) -> range:
        """The shards of a rank."""
        return shards_of_worker(rank, num_shards=self.num_shards, num_workers=self.num_workers)


def fill_cache(cache: ShardCache, batches: Iterator[pa.RecordBatch], job: RoundJob, worker: int) -> None:
    """Take what `IndexedSamples.feed` sends to a worker.

    Raises:
        NoRoomError: they do not fit.
        OSError: the disk is full.
    """
    if sent := [name for name in job.names(job.shards(worker)) if name.shard in job.fed]:
        cache.fill({name: job.size(name) for name in sent}, sample_batches(batches, job))
    for _ in batches:  # a process that leaves rows unread is not used again, and torch must be imported anew
        continue


def sample_batches(batches: Iterator[pa.RecordBatch], job: RoundJob) -> Iterator[SampleBatch]:
    """Arrow rows of `IndexedSamples.feed` as arrays, one batch per shard that occurs in them."""
    for batch in batches:
        splits = np.array(batch.column("split").to_pylist())
        shards = batch.column("shard").to_numpy()
        places = batch.column("place").to_numpy()
        keys = batch.column("key").to_numpy()
        images = _stacked(batch.column("pixels"), np.uint8).reshape(-1, job.image_size, job.image_size)
        labels = _stacked(batch.column("labels"), np.float32).reshape(-1, job.num_findings)
        for split in np.unique(splits):
            for shard in np.unique(shards[splits == split]):
                rows = np.flatnonzero((splits == split) & (shards == shard))
                name = ShardName(str(split), int(shard), job.num_shards)
                yield SampleBatch(name, places[rows], images[rows], labels[rows], keys[rows])


def _stacked(column: pa.Array, dtype: type) -> np.ndarray[Any, Any]:
    """The values of a binary or list column end to end, null elements as NaN."""
    if pa.types.is_list(column.type):
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype)
    start, end = column.offset, column.offset + len(column)
    width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    offsets = np.frombuffer(column.buffers()[1], width)
    return np.frombuffer(column.buffers()[2], dtype)[offsets[start] : offsets[end]]


def held_shards(cache: ShardCache, job: RoundJob) -> list[int]:
    """Shards of which every split is here."""
    return [
        shard
        for shard in range(job.num_shards)
        if all(cache.holds(name) for name in job.names([shard]) if job.size(name))
    ]


def open_shards(cache: ShardCache, job: RoundJob, rank: int) -> dict[str, dict[int, CachedShard]]:
    """The samples of a rank, by split and shard."""
    return {
        split: {
            name.shard: cache.open(name, job.size(name)) for name in job.names(job.shards(rank)) if name.split == split
        }
        for split in job.samples
    }
