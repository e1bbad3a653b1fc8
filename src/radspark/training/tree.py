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
        self._blocks: list[Block] = []
        self._sums: list[torch.Tensor] = []

    def add(self, block: Block, tensor: torch.Tensor) -> None:
        """Take a block's sum, which is kept and may be written to."""
        while self._blocks and self._blocks[-1].size == block.size and self._blocks[-1].first % (2 * block.size) == 0:
            block = Block(self._blocks.pop().first, 2 * block.size)
            tensor = self._sums.pop().add_(tensor)
        self._blocks.append(block)
        self._sums.append(tensor)

    @property
    def sums(self) -> list[torch.Tensor]:
        """Of the largest blocks that are whole, in order: those of `blocks_of` for the shards so far."""
        return self._sums

    def total(self) -> torch.Tensor:
        """Of all, the blocks of a number of shards that is no power of two from the last to the first."""
        while len(self._sums) > 1:
            last = self._sums.pop()
            self._sums[-1].add_(last)
        self._blocks = self._blocks[:1]
        return self._sums[0]


def sum_over_shards(sums: list[torch.Tensor], out: torch.Tensor, *, num_shards: int, group: Group) -> None:
    """Put the sum over all shards of all workers into `out`, the same bits on any number of workers.

    Each worker adds up a slice of the vector from all blocks, and gives it to all. Where two workers hold a block each
    there is one addition, which commutes: gloo's own sum does.

    Args:
        sums: of this worker's blocks, of the size of `out`; they may share its memory.
        out: a vector of a multiple of `group.size` elements.
    """
    blocks = [
        blocks_of(shards_of_worker(rank, num_shards=num_shards, num_workers=group.size)) for rank in range(group.size)
    ]
    if group.size == 1:
        _put(_total(blocks[0], sums), out)
    elif sum(len(some) for some in blocks) == 2:
        _put(sums[0], out)
        group.sum_(out)
    else:
        length = out.numel() // group.size
        parts = sums[0] if len(sums) == 1 else torch.stack([part.view(group.size, length) for part in sums], 1).view(-1)
        received = group.swap(parts, [len(some) * length for some in blocks])
        flat = [block for some in blocks for block in some]
        group.gather_(out, _total(flat, torch.split(received, length)))


def _total(blocks: Iterable[Block], sums: Iterable[torch.Tensor]) -> torch.Tensor:
    tree = TreeSum()
    for block, tensor in zip(blocks, sums, strict=True):
        tree.add(block, tensor)
    return tree.total()


def _put(tensor: torch.Tensor, out: torch.Tensor) -> None:
    if tensor.data_ptr() != out.data_ptr():
        out.copy_(tensor)
