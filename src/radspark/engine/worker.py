"""What runs in a Spark task of a round: fill the local cache, join the other workers, train, yield the outcome."""

from __future__ import annotations

import errno
import json
import logging
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import BarrierTaskContext

from radspark.engine.caches import open_cache
from radspark.engine.devices import give_back_memory, take_device
from radspark.engine.feeding import RoundJob, fill_cache, held_shards, open_shards
from radspark.engine.worker_log import worker_log
from radspark.errors import SetupError
from radspark.training.room import NoRoomError, check_limit
from radspark.training.shards import Move, plan_moves, seat_workers

if TYPE_CHECKING:
    import torch

    from radspark.engine.channel import WorkerEnd
    from radspark.training.cache import ShardCache
    from radspark.training.collective import Group

logger = logging.getLogger(__name__)

REPLY_SCHEMA = "kind string, rank int, payload binary"
STORE_SECONDS = 300.0
"""For workers that have met to join into a group."""
EXCHANGE_SECONDS = 86_400.0
"""Longest wait for another worker in an exchange; who is lost is noticed on the line to the driver, and far sooner."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Line:
    """Where the driver listens during a round."""

    driver: tuple[str, int]
    token: str = field(repr=False)


@dataclass(frozen=True)
class Seat:
    """This worker among the others."""

    rank: int
    hosts: list[str]
    """Where each rank can be reached; those of one host are side by side."""
    first_port: int
    """Of rank 0's store."""
    moves: list[Move]
    """Shards that go from worker to worker before the steps; the same on all workers."""
    missing: list[int]
    """Shards that no worker holds; the same on all workers."""
    taken: list[frozenset[int]]
    """Shards that the workers of each executor take; the same on all workers."""
    kept: frozenset[int]
    """Shards that workers of this executor take, or hand to others."""


def run_worker(batches: Iterator[pa.RecordBatch], *, job: RoundJob, line: Line, spec: Any) -> Iterator[pa.RecordBatch]:
    """The task of one worker, for `mapInArrow(barrier=True)`.

    Yields rows of REPLY_SCHEMA: `missing` if there are shards that no worker holds; else from rank 0 `steps`, from
    every rank `scores`, while the state goes over the line to the driver. A failure is a row too, of a kind that
    `replies.failure` knows: an exception would say less, and Spark might try again what cannot succeed.
    """
    from radspark.engine.channel import WorkerEnd

    context = BarrierTaskContext.get()
    worker = context.partitionId()
    try:
        with WorkerEnd(line.driver, line.token, worker) as end, _telling(end), open_cache(job) as cache:
            device = take_device(spec.recipe.training.device, context)
            fill_cache(cache, batches, job, worker)
            yield from _join(cache, job, spec, worker=worker, address=_own_address(context), line=end, device=device)
    except Exception as error:  # noqa: BLE001  every failure travels to the driver as a row
        kind, text = tell_failure(error)
        with worker_log(job.round_name, f"task {worker}"):
            logger.info("gave up: %s (%s)", kind, type(error).__name__)
        yield _row(kind, worker, text.encode())
    give_back_memory(spec.recipe.training.device)


@contextmanager
def _telling(line: WorkerEnd) -> Iterator[None]:
    """Tell of a failure at once: the row comes when all workers have ended, and the driver may not wait so long."""
    from radspark.engine.channel import LineLostError

    try:
        yield
    except Exception as error:
        with suppress(LineLostError):
            line.send_failure(*tell_failure(error))
        raise


def _join(
    cache: ShardCache, job: RoundJob, spec: Any, *, worker: int, address: str, line: WorkerEnd, device: torch.device
) -> Iterator[pa.RecordBatch]:
    """Meet the others and take part in the round."""
    from radspark.training.collective import open_store

    store = open_store(address, timeout_seconds=STORE_SECONDS)
    facts = {"address": address, "port": store.port, "cache": cache.place, "held": held_shards(cache, job)}
    seat = take_seat(line.gather(facts), worker, job)
    with worker_log(job.round_name, f"rank {seat.rank}"):
        yield from _take_part(cache, job, spec, seat=seat, store=store, line=line, device=device)


def _take_part(
    cache: ShardCache, job: RoundJob, spec: Any, *, seat: Seat, store: Any, line: WorkerEnd, device: torch.device
) -> Iterator[pa.RecordBatch]:
    """Train, or say which shards nobody holds."""
    from radspark.training.collective import join_group, reach_store
    from radspark.training.moving import move_shards

    check_room(seat, cache, job)
    if seat.missing:
        logger.info("no worker holds %d of the %d shards: the driver sends them", len(seat.missing), job.num_shards)
        yield _row("missing", seat.rank, json.dumps(seat.missing).encode())
        return
    if seat.rank != 0:
        store = reach_store(seat.hosts[0], seat.first_port, timeout_seconds=STORE_SECONDS)
    with join_group(
        store, rank=seat.rank, hosts=seat.hosts, timeout_seconds=EXCHANGE_SECONDS, device=device.type
    ) as group:
        every_part = {name: job.size(name) for name in job.names(range(job.num_shards))}
        shards = job.shards(seat.rank)
        logger.info("one of %d workers, with shards %d to %d, on %s", group.size, shards.start, shards.stop - 1, device)
        cache.keep(job.names(seat.kept))
        move_shards(seat.moves, cache, sizes=every_part, group=group)
        yield from _train(cache, job, spec, group=group, line=line, device=device)


def take_seat(workers: list[dict[str, Any]], worker: int, job: RoundJob) -> Seat:
    """This worker's seat, from the facts of all: computed alike on each."""
    held = [frozenset(facts["held"]) for facts in workers]
    order = seat_workers(held, hosts=[facts["address"] for facts in workers], num_shards=job.num_shards)
    moves, missing = plan_moves([held[worker] for worker in order], num_shards=job.num_shards)
    places = [(workers[other]["address"], workers[other]["cache"]) for other in order]
    here = places[order.index(worker)]
    taken = {
        place: frozenset(shard for rank, other in enumerate(places) if other == place for shard in job.shards(rank))
        for place in places
    }
    return Seat(
        rank=order.index(worker),
        hosts=[workers[other]["address"] for other in order],
        first_port=workers[order[0]]["port"],
        moves=moves,
        missing=missing,
        taken=list(taken.values()),
        kept=taken[here] | {move.shard for move in moves if places[move.source] == here},
    )


def check_room(seat: Seat, cache: ShardCache, job: RoundJob) -> None:
    """That no executor takes more than it may keep: all workers see it at the same time, and the round ends at once.

    Raises:
        NoRoomError: one does.
    """
    if job.limit_bytes is not None:
        largest = max(sum(cache.num_bytes(job.size(name)) for name in job.names(shards)) for shards in seat.taken)
        check_limit(largest, job.limit_bytes)


def _own_address(context: BarrierTaskContext) -> str:
    """The address that Spark itself reaches this executor by."""
    host = context.getTaskInfos()[context.partitionId()].address.rsplit(":", 1)[0]
    return socket.gethostbyname(host)


def _train(
    cache: ShardCache, job: RoundJob, spec: Any, *, group: Group, line: WorkerEnd, device: torch.device
) -> Iterator[pa.RecordBatch]:
    import torch

    from radspark.training.round import run_round
    from radspark.training.state import PackedState

    torch.set_num_threads(job.cores_per_worker)
    is_first = group.rank == 0
    shards = open_shards(cache, job, group.rank)
    outcome = run_round(
        spec,
        PackedState.read(group.broadcast(line.fetch_state() if is_first else None)).unpack(),
        train=shards["train"],
        validation=shards.get("validation", {}),
        group=group,
        on_step=line.send_step if is_first else _tell_nobody,
        device=device,
    )
    if outcome.steps:
        seconds = sum(step.seconds for step in outcome.steps)
        logger.info("steps %d to %d done in %.1f s", outcome.steps[0].step, outcome.steps[-1].step, seconds)
    if is_first:
        line.send_state(outcome.state.pack().data)
        yield _row("steps", 0, json.dumps([asdict(step) for step in outcome.steps]).encode())
    for scores in outcome.scores:
        yield _row("scores", group.rank, np.concatenate([scores.labels_NC, scores.probabilities_NC], 1).tobytes())


def _tell_nobody(step: Any) -> None:
    """Only rank 0 tells of steps."""


def tell_failure(error: Exception) -> tuple[str, str]:
    """Kind and text of the row that tells of a failure.

    Who only lost another worker cannot say why; that one's own row does.
    """
    from radspark.engine.channel import LineLostError
    from radspark.training.collective import is_from_exchange

    if isinstance(error, NoRoomError):
        return "no_room", str(error)
    if isinstance(error, SetupError):
        return "setup", str(error)
    kind = "disk_full" if isinstance(error, OSError) and error.errno in FULL else "error"
    if isinstance(error, LineLostError) or is_from_exchange(error):
        kind = "lost_peer"
    return kind, "".join(traceback.format_exception(error))


def _row(kind: str, rank: int, payload: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([kind]), pa.array([rank], pa.int32()), pa.array([payload], pa.binary())],
        names=["kind", "rank", "payload"],
    )
