"""Which samples a shard takes at each step: arithmetic of (seed, epoch, shard), the same on any number of workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLES = 2
"""Least samples in one forward pass of training: batch-norm cannot estimate a variance from one."""


@dataclass(frozen=True)
class ShardPlan:
    """How an epoch of `sizes` samples per shard is cut into steps and micro-batches.

    Every sample is taken once an epoch. Steps are as even as whole samples allow, so there is no short last batch.
    """

    sizes: tuple[int, ...]
    """Training samples of each shard."""
    batch_size: int
    micro_batch_size: int
    seed: int
    _orders: dict[int, tuple[int, NDArray[np.int64]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Epoch and order last asked for, by shard: drawn once an epoch, not at each of its steps."""

    @property
    def num_samples(self) -> int:
        return sum(self.sizes)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of `batch_size`, fewer where a shard would give a step less than MIN_SAMPLES."""
        wanted = math.ceil(self.num_samples / self.batch_size)
        return max(1, min(wanted, min(self.sizes) // MIN_SAMPLES))

    def micro_batches(self, shard: int, *, epoch: int, step: int) -> list[NDArray[np.int64]]:
        """Indices within the shard of each forward pass of one step (`step` counts from 0 within the epoch)."""
        order = self.epoch_order(shard, epoch=epoch)
        steps = self.steps_per_epoch
        taken = order[_bound(len(order), step, steps) : _bound(len(order), step + 1, steps)]
        pieces = self.num_micro_batches(shard, step=step)
        return [taken[_bound(len(taken), i, pieces) : _bound(len(taken), i + 1, pieces)] for i in range(pieces)]

    def num_micro_batches(self, shard: int, *, step: int) -> int:
        """Forward passes of one step."""
        size, steps = self.sizes[shard], self.steps_per_epoch
        taken = _bound(size, step + 1, steps) - _bound(size, step, steps)
        return max(1, min(math.ceil(taken / self.micro_batch_size), taken // MIN_SAMPLES))

    def epoch_order(self, shard: int, *, epoch: int) -> NDArray[np.int64]:
        """The shard's samples in this epoch's random order."""
        drawn, order = self._orders.get(shard, (None, np.empty(0, np.int64)))
        if drawn != epoch:
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, epoch, shard))))
            order = generator.permutation(self.sizes[shard]).astype(np.int64)
            order.flags.writeable = False
            self._orders[shard] = (epoch, order)
        return order


def _bound(length: int, part: int, parts: int) -> int:
    return length * part // parts


def shard_sizes(num_samples: int, num_shards: int) -> tuple[int, ...]:
    """Samples at positions p mod `num_shards` of `num_samples` positions."""
    return tuple((num_samples - shard + num_shards - 1) // num_shards for shard in range(num_shards))


def choose_num_shards(num_samples: int, *, batch_size: int, num_workers: int) -> int:
    """One shard per worker, fewer where a step or the whole set is too small to give each shard MIN_SAMPLES."""
    return max(1, min(num_workers, num_samples // MIN_SAMPLES, batch_size // MIN_SAMPLES))


def shards_of_worker(worker: int, *, num_shards: int, num_workers: int) -> range:
    """The contiguous shards that a worker holds."""
    return range(num_shards * worker // num_workers, num_shards * (worker + 1) // num_workers)


def seat_workers(held: Sequence[frozenset[int]], *, hosts: Sequence[str], num_shards: int) -> list[int]:
    """The worker of each rank: those of a host side by side, such that workers keep what they hold.

    Hosts are in the order of the first shard that they hold. In a host, the pairs of worker and rank with most shards
    in common come first.

    Args:
        held: for each worker, the shards that its local cache holds.
    """
    num_workers = len(held)
    first_shard = {
        host: min((min(shards, default=num_shards) for shards, other in zip(held, hosts, strict=True) if other == host))
        for host in hosts
    }
    seats: list[int] = []
    for host in sorted(first_shard, key=lambda host: (first_shard[host], host)):
        workers = [worker for worker in range(num_workers) if hosts[worker] == host]
        ranks = range(len(seats), len(seats) + len(workers))
        seats += _seat_host({worker: held[worker] for worker in workers}, ranks, num_shards, num_workers)
    return seats


def _seat_host(held: dict[int, frozenset[int]], ranks: range, num_shards: int, num_workers: int) -> list[int]:
    """The workers of a host in the order of its ranks."""
    wanted = {rank: frozenset(shards_of_worker(rank, num_shards=num_shards, num_workers=num_workers)) for rank in ranks}
    pairs = sorted((-len(held[worker] & wanted[rank]), worker, rank) for worker in held for rank in ranks)
    taken: dict[int, int] = {}
    for _, worker, rank in pairs:
        if rank not in taken and worker not in taken.values():
            taken[rank] = worker
    return [taken[rank] for rank in ranks]


@dataclass(frozen=True)
class Move:
    """A shard on its way from a worker that holds it to the one that takes it."""

    shard: int
    source: int
    """Rank."""
    target: int
    """Rank."""


def plan_moves(held: Sequence[frozenset[int]], *, num_shards: int) -> tuple[list[Move], list[int]]:
    """What goes from worker to worker before a round, and the shards that no worker holds.

    Args:
        held: for each rank, the shards that its local cache holds.
    """
    moves, missing = [], []
    for target, shards in enumerate(held):
        for shard in shards_of_worker(target, num_shards=num_shards, num_workers=len(held)):
            if shard in shards:
                continue
            source = next((rank for rank, others in enumerate(held) if shard in others), None)
            if source is None:
                missing.append(shard)
            else:
                moves.append(Move(shard, source, target))
    return moves, missing
