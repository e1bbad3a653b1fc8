"""Sums over shards have the same bits whoever holds the shards, and are those of the tree."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from radspark.training.shards import shards_of_worker
from radspark.training.tree import Block, ShardSum, TreeSum, blocks_of

LENGTH = 24


class Threads:
    """A group of threads that share a table; what each says comes to all."""

    def __init__(self, rank: int, hosts: Sequence[str], tables: dict[Any, Table], key: Any = "all") -> None:
        self.rank, self.size, self.hosts = rank, len(hosts), hosts
        self._tables = tables
        self._table = tables.setdefault(key, Table([torch.empty(0)] * len(hosts), Barrier(len(hosts))))

    def _exchange(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        self._table.said[self.rank] = tensor.clone()
        self._table.barrier.wait(10)
        said = list(self._table.said)
        self._table.barrier.wait(10)
        return said

    def sum_(self, tensor: torch.Tensor) -> None:
        said = self._exchange(tensor)
        tensor.copy_(said[0] + said[1] if self.rank else said[1] + said[0])  # gloo does not promise an order

    def swap(self, parts: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        received = torch.cat([other.chunk(self.size)[self.rank] for other in self._exchange(parts)])
        assert len(received) == sum(lengths)
        return received

    def gather(self, part: torch.Tensor) -> torch.Tensor:
        return torch.cat(self._exchange(part))

    def part(self, ranks: Sequence[int]) -> Threads:
        return Threads(ranks.index(self.rank), [self.hosts[rank] for rank in ranks], self._tables, tuple(ranks))


@dataclass
class Table:
    said: list[torch.Tensor]
    barrier: Barrier


def gradients(num_shards: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(num_shards)
    return [torch.randn(LENGTH, generator=generator) * 10.0 ** (shard % 5) for shard in range(num_shards)]


def total(num_shards: int, hosts: str) -> torch.Tensor:
    """The sum as workers on these hosts make it."""
    tables: dict[Any, Table] = {}

    def work(rank: int) -> torch.Tensor:
        tree = TreeSum()
        for shard in shards_of_worker(rank, num_shards=num_shards, num_workers=len(hosts)):
            tree.add(Block(shard, 1), gradients(num_shards)[shard])
        out = torch.full((LENGTH,), float("nan"))
        ShardSum(Threads(rank, hosts, tables), num_shards=num_shards)(tree.sums, out)
        return out

    with ThreadPoolExecutor(len(hosts)) as threads:
        sums = list(threads.map(work, range(len(hosts))))
    assert all(torch.equal(sums[0], other) for other in sums)
    return sums[0]


@pytest.mark.parametrize("num_shards", range(1, 14))
def test_any_number_of_workers_gives_the_same_bits(num_shards: int) -> None:
    one = total(num_shards, "a")
    torch.testing.assert_close(one.double(), torch.stack(gradients(num_shards)).double().sum(0), rtol=1e-5, atol=1e-2)
    for hosts in ("aa", "ab", "aaa", "aab", "aabb", "aaab", "aaabbb", "aabbcc", "aaaabbbb", "aaabbbcccddd"):
        if len(hosts) <= num_shards:
            assert torch.equal(total(num_shards, hosts), one), hosts


def test_the_sum_is_that_of_the_tree() -> None:
    a, b, c, d, e, f = gradients(6)
    assert torch.equal(total(6, "aaa"), ((a + b) + (c + d)) + (e + f))
    assert not torch.equal(total(6, "aaa"), ((((a + b) + c) + d) + e) + f)


@given(st.integers(0, 40), st.integers(0, 40))
def test_blocks_cover_a_run_of_shards_once(start: int, length: int) -> None:
    blocks = blocks_of(range(start, start + length))
    assert [shard for block in blocks for shard in range(block.first, block.first + block.size)] == list(
        range(start, start + length)
    )
    assert all(block.first % block.size == 0 and block.size.bit_count() == 1 for block in blocks)
    assert len(blocks) <= 2 * max(1, length.bit_length())
