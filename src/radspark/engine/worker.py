"""What runs in a Spark task of a round: fill the local cache, join the other workers, train, yield the outcome."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import BarrierTaskContext

from radspark.training.cache import SampleBatch, ShardCache, ShardName
from radspark.training.shards import match_workers, shard_sizes, shards_of_worker

REPLY_SCHEMA = "kind string, rank int, payload binary"


@dataclass(frozen=True)
class RoundJob:
    """What every worker of a round is told about the others, the samples, and the line to the driver."""

    run_id: str
    num_workers: int
    num_shards: int
    image_size: int
    num_findings: int
    samples: dict[str, int]
    """Split to number of samples."""
    fed: frozenset[tuple[str, int]]
    """(split, shard) pairs that come with this job."""
    timeout_seconds: float
    cores_per_worker: int
    driver: tuple[str, int]
    """Where the driver listens."""
    token: str = field(repr=False)

    def names(self, shards: range) -> list[ShardName]:
        """The parts of all splits that stand for some shards."""
        return [ShardName(split, shard, self.num_shards) for split in self.samples for shard in shards]

    def size(self, name: ShardName) -> int:
        """Samples of a part."""
        return shard_sizes(self.samples[name.split], self.num_shards)[name.shard]

    def shards(self, rank: int) -> range:
        """The shards of a rank."""
        return shards_of_worker(rank, num_shards=self.num_shards, num_workers=self.num_workers)


@dataclass(frozen=True)
class Seat:
    """This worker among the others."""

    rank: int
    address: str
    """Where it can be reached."""
    first_address: str
    """Where rank 0 can be reached."""


def run_worker(batches: Iterator[pa.RecordBatch], *, job: RoundJob, spec: Any) -> Iterator[pa.RecordBatch]:
    """The task of one worker, for `mapInArrow(barrier=True)`.

    Yields rows of REPLY_SCHEMA: `missing` if some worker lacks samples; else from rank 0 `steps`, from every rank
    `scores`, while the state goes over the line to the driver. A failure is a row too, `error` or `lost_peer`: an
    exception would say less, and Spark might try again what cannot succeed.
    """
    context = BarrierTaskContext.get()
    try:
        cache = ShardCache(cache_folder(job.run_id), image_size=job.image_size, num_findings=job.num_findings)
        _fill(cache, batches, job, context.partitionId())
        rank, missing, hosts = _take_seats(context, cache, job)
        if missing:
            yield _row("missing", rank, json.dumps(missing).encode())
            return
        seat = Seat(rank, hosts[context.partitionId()][1], next(host for r, host in hosts if r == 0))
        yield from _train(context, cache, job, spec, seat)
    except Exception as error:  # noqa: BLE001  every failure travels to the driver as a row
        kind = "lost_peer" if _is_lost_peer(error) else "error"
        yield _row(kind, context.partitionId(), traceback.format_exc().encode())


def cache_folder(run_id: str) -> Path:
    """The run's folder in Spark's first local directory, which Spark itself removes when the executor ends."""
    local = os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0]
    return Path(local) / "radspark" / run_id


def _fill(cache: ShardCache, batches: Iterator[pa.RecordBatch], job: RoundJob, worker: int) -> None:
    sent = [name for name in job.names(job.shards(worker)) if (name.split, name.shard) in job.fed]
    if sent:
        cache.fill({name: job.size(name) for name in sent}, sample_batches(batches, job))


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


def _take_seats(
    context: BarrierTaskContext, cache: ShardCache, job: RoundJob
) -> tuple[int, list[tuple[str, int]], list[tuple[int, str]]]:
    """This worker's rank, what any worker lacks, and (rank, address) of each worker: the same on all of them."""
    held = [
        shard
        for shard in range(job.num_shards)
        if all(cache.holds(name) for name in job.names(range(shard, shard + 1)) if job.size(name))
    ]
    mine = json.dumps({"address": _own_address(context), "held": held})
    all_workers = [json.loads(text) for text in context.allGather(mine)]
    all_held = [frozenset(worker["held"]) for worker in all_workers]
    ranks = match_workers(all_held, num_shards=job.num_shards)
    missing = sorted(
        {
            (split, shard)
            for worker, rank in enumerate(ranks)
            for shard in job.shards(rank)
            if shard not in all_held[worker]
            for split in job.samples
        }
    )
    hosts = [(rank, worker["address"]) for rank, worker in zip(ranks, all_workers, strict=True)]
    return ranks[context.partitionId()], missing, hosts


def _own_address(context: BarrierTaskContext) -> str:
    """The address that Spark itself reaches this executor by."""
    host = context.getTaskInfos()[context.partitionId()].address.rsplit(":", 1)[0]
    return socket.gethostbyname(host)


def _train(
    context: BarrierTaskContext, cache: ShardCache, job: RoundJob, spec: Any, seat: Seat
) -> Iterator[pa.RecordBatch]:
    import torch

    from radspark.engine.channel import WorkerEnd
    from radspark.training.collective import join_group
    from radspark.training.round import run_round
    from radspark.training.state import PackedState

    torch.set_num_threads(job.cores_per_worker)
    shards = {
        split: {shard: cache.open(ShardName(split, shard, job.num_shards)) for shard in job.shards(seat.rank)}
        for split in job.samples
    }

    def share_port(port: int) -> int:
        return max(int(text) for text in context.allGather(str(port)))

    with (
        WorkerEnd(job.driver, job.token) if seat.rank == 0 else nullcontext() as line,
        join_group(
            rank=seat.rank,
            size=job.num_workers,
            address=seat.first_address,
            own_address=seat.address,
            share_port=share_port,
            timeout_seconds=job.timeout_seconds,
        ) as group,
    ):
        outcome = run_round(
            spec,
            PackedState.read(group.broadcast(line.fetch_state() if line else None)).unpack(),
            train=shards["train"],
            validation=shards.get("validation", {}),
            group=group,
            on_step=line.send_step if line else _tell_nobody,
        )
        if line:
            line.send_state(outcome.state.pack().data)
    for scores in outcome.scores:
        yield _row("scores", seat.rank, np.concatenate([scores.labels_NC, scores.probabilities_NC], 1).tobytes())
    if seat.rank == 0:
        yield _row("steps", 0, json.dumps([asdict(step) for step in outcome.steps]).encode())


def _tell_nobody(step: Any) -> None:
    """Only rank 0 tells of steps."""


def _is_lost_peer(error: BaseException) -> bool:
    """Whether another worker went away, which says nothing of why: its own row does, if it lives."""
    import torch.distributed as dist

    if isinstance(error, dist.DistError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, RuntimeError) and any("distributed" in frame.filename for frame in frames)


def _row(kind: str, rank: int, payload: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([kind]), pa.array([rank], pa.int32()), pa.array([payload], pa.binary())],
        names=["kind", "rank", "payload"],
    )
