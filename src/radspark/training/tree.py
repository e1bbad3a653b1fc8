"""Sums over shards along one fixed binary tree, so that a sum's bits do not depend on which worker holds which shard.

IEEE addition commutes but does not associate. The tree's nodes are blocks: runs of 2^k shards that begin at a multiple
of 2^k. A worker sums the blocks that it holds whole; the sums of its few blocks go to the other workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from radspark.training.collective import Group
from radspark.training.shards import shards_of_worker


@dataclass(frozen=True)
class Block:
    """A node of the tree."""

    first: int
    """Shard; a multiple of `size`."""
    size: int
    """Shards; a power of two."""


def blocks_of(shards: range) -> list[Block]:
    """The largest blocks that make up a run of shards, in order."""
    blocks = []
    first = shards.start
    while first < shards.stop:
        size = 1
        while first % (2 * size) == 0 and first + 2 * size <= shards.stop:
            size *= 2
        blocks.append(Block(first, size))
        first += size
    return blocks


class TreeSum:
    """Adds up the sums of blocks that come in the order of their shards, each as early as the tree allows."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        """The largest that are whole so far, in order."""
        self.sums: list[torch.Tensor] = []
        """Of these blocks."""

    def add(self, block: Block, tensor: torch.Tensor) -> None:
        """Take a block's sum, which is kept and may be written to."""
        while self.blocks and self.blocks[-1].size == block.size and self.blocks[-1].first % (2 * block.size) == 0:
            block = Block(self.blocks.pop().first, 2 * block.size)
            tensor = self.sums.pop().add_(tensor)
        self.blocks.append(block)
        self.sums.append(tensor)

    def total(self) -> torch.Tensor:
        """Of all: where their number is no power of two, the blocks that are left from the last to the first."""
        total = self.sums[-1]
        for before in reversed(self.sums[:-1]):
            total = before.add_(total)
        return total


@dataclass(frozen=True)
class Level:
    """One exchange: the workers that take part, and the shards whose sums each of them brings."""

    group: Group
    shards: tuple[range, ...]


class ShardSum:
    """Puts the sum over all shards of all workers into a vector: the same bits on any number of workers and hosts.

    In each exchange a worker adds up a slice of the vector from the blocks of all; afterwards it gives the slice to
    all. Workers of one host do so first, so that a vector leaves a host once and enters it once, however many workers
    it has. Where two workers hold a block each there is one addition, which commutes: gloo's own sum does.

    What is to travel as bfloat16 is rounded to the nearest where it is handed on, a worker's own part as well, and
    added up in float32: all workers have the same bits, but another number of workers or hosts hands on other sums.
    """

    def __init__(self, group: Group, *, num_shards: int) -> None:
        """Make the smaller groups that are needed; all workers do at once.

        Args:
            group: all workers, those of a host side by side.
        """
        self.num_workers = group.size
        shards = tuple(
            shards_of_worker(rank, num_shards=num_shards, num_workers=group.size) for rank in range(group.size)
        )
        self._group = group
        self._own = shards[group.rank]
        self._is_pair = sum(len(blocks_of(some)) for some in shards) == 2 == group.size
        self._levels = _levels(group, shards)

    def __call__(self, sums: list[torch.Tensor], out: torch.Tensor, *, travel: torch.dtype = torch.float32) -> None:
        """Add up.

        Args:
            sums: of this worker's blocks, of the size of `out`; they may share its memory.
            out: a float32 vector of a multiple of `num_workers` elements.
            travel: what goes from worker to worker.
        """
        if self._is_pair and travel == torch.float32:
            _put(sums[0], out)
            self._group.sum_(out)
            return
        blocks = blocks_of(self._own)
        for level in self._levels:
            blocks, sums = _exchange(level, sums, travel)
        total = _add_up(blocks, sums).total()
        for level in reversed(self._levels):
            total = level.group.gather(total.to(travel))
        _put(total, out)


def _levels(group: Group, shards: tuple[range, ...]) -> list[Level]:
    """Inside the hosts, then across, where all hosts have as many workers; else all at once."""
    hosts = list(dict.fromkeys(group.hosts))
    members = [[rank for rank in range(group.size) if group.hosts[rank] == host] for host in hosts]
    width = len(members[0])
    if group.size == 1:
        return []
    if len(hosts) in (1, group.size) or any(len(ranks) != width for ranks in members):
        return [Level(group, shards)]
    own = hosts.index(group.hosts[group.rank])
    place = members[own].index(group.rank)
    inside = Level(group.part(members[own]), tuple(shards[rank] for rank in members[own]))
    ranges = tuple(range(shards[ranks[0]].start, shards[ranks[-1]].stop) for ranks in members)
    return [inside, Level(group.part([ranks[place] for ranks in members]), ranges)]


def _exchange(level: Level, sums: list[torch.Tensor], travel: torch.dtype) -> tuple[list[Block], list[torch.Tensor]]:
    """This worker's slice of the sums of all: the largest blocks of their shards."""
    size = level.group.size
    length = sums[0].numel() // size
    blocks = [blocks_of(shards) for shards in level.shards]
    parts = sums[0] if len(sums) == 1 else torch.stack([part.view(size, length) for part in sums], 1).view(-1)
    received = level.group.swap(parts.to(travel), [len(some) * length for some in blocks])
    tree = _add_up([block for some in blocks for block in some], torch.split(received.float(), length))
    return tree.blocks, tree.sums


def _add_up(blocks: Iterable[Block], sums: Iterable[torch.Tensor]) -> TreeSum:
    tree = TreeSum()
    for block, tensor in zip(blocks, sums, strict=True):
        tree.add(block, tensor)
    return tree


def _put(tensor: torch.Tensor, out: torch.Tensor) -> None:
    if tensor.data_ptr() != out.data_ptr():
        out.copy_(tensor)
