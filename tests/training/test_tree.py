"""Sums over shards have the same bits whoever holds the shards, and are those of the tree."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from radspark.training.shards import shards_of_worker
from radspark.training.tree import Block, TreeSum, blocks_of, sum_over_shards

LENGTH = 24


class Threads:
    """A group of threads that share a table; what each says comes to all."""

    def __init__(self, rank: int, size: int, table: list[torch.Tensor], barrier: Barrier) -> None:
        self.rank, self.size, self._table, self._barrier = rank, size, table, barrier

    def _exchange(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        self._table[self.rank] = tensor.clone()
        self._barrier.wait()
        said = list(self._table)
        self._barrier.wait()
        return said

    def sum_(self, tensor: torch.Tensor) -> None:
        said = self._exchange(tensor)
        order = said if self.rank % 2 else said[::-1]  # gloo does not promise an order
        tensor.copy_(sum(order[1:], order[0]))

    def swap(self, parts: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        received = torch.cat([other.chunk(self.size)[self.rank] for other in self._exchange(parts)])
        assert len(received) == sum(lengths)
        return received

    def gather_(self, out: torch.Tensor, part: torch.Tensor) -> None:
        out.copy_(torch.cat(self._exchange(part)))


def gradients(num_shards: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(num_shards)
    return [torch.randn(LENGTH, generator=generator) * 10.0 ** (shard % 5) for shard in range(num_shards)]


def total(num_shards: int, num_workers: int) -> torch.Tensor:
    """The sum as `num_workers` workers make it."""
    barrier, table = Barrier(num_workers), [torch.empty(0)] * num_workers

    def work(rank: int) -> torch.Tensor:
        tree = TreeSum()
        for shard in shards_of_worker(rank, num_shards=num_shards, num_workers=num_workers):
            tree.add(Block(shard, 1), gradients(num_shards)[shard])
        out = torch.full((LENGTH,), float("nan"))
        group = Threads(rank, num_workers, table, barrier)
        sum_over_shards(tree.sums, out, num_shards=num_shards, group=group)
        return out

    with ThreadPoolExecutor(num_workers) as threads:
        sums = list(threads.map(work, range(num_workers)))
    assert all(torch.equal(sums[0], other) for other in sums)
    return sums[0]


@pytest.mark.parametrize("num_shards", range(1, 14))
def test_any_number_of_workers_gives_the_same_bits(num_shards: int) -> None:
    one = total(num_shards, 1)
    torch.testing.assert_close(one.double(), torch.stack(gradients(num_shards)).double().sum(0), rtol=1e-5, atol=1e-2)
    for num_workers in (2, 3, 4, 6, 8, 12):
        if num_workers <= num_shards:
            assert torch.equal(total(num_shards, num_workers), one), num_workers


def test_the_sum_is_that_of_the_tree() -> None:
    a, b, c, d, e, f = gradients(6)
    assert torch.equal(total(6, 3), ((a + b) + (c + d)) + (e + f))
    assert not torch.equal(total(6, 3), ((((a + b) + c) + d) + e) + f)


@given(st.integers(0, 40), st.integers(0, 40))
def test_blocks_cover_a_run_of_shards_once(start: int, length: int) -> None:
    blocks = blocks_of(range(start, start + length))
    assert [shard for block in blocks for shard in range(block.first, block.first + block.size)] == list(
        range(start, start + length)
    )
    assert all(block.first % block.size == 0 and block.size.bit_count() == 1 for block in blocks)
    assert len(blocks) <= 2 * max(1, length.bit_length())
