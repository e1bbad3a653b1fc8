"""Sums over shards have the same bits whoever holds the shards, and are those of the tree."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from threads import Table, Threads

from radspark.training.shards import shards_of_worker
from radspark.training.tree import Block, ShardSum, TreeSum, blocks_of

LENGTH = 24


def gradients(num_shards: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(num_shards)
    return [torch.randn(LENGTH, generator=generator) * 10.0 ** (shard % 5) for shard in range(num_shards)]


def total(num_shards: int, hosts: str, travel: torch.dtype = torch.float32) -> torch.Tensor:
    """The sum as workers on these hosts make it."""
    tables: dict[Any, Table] = {}

    def work(rank: int) -> torch.Tensor:
        tree = TreeSum()
        for shard in shards_of_worker(rank, num_shards=num_shards, num_workers=len(hosts)):
            tree.add(Block(shard, 1), gradients(num_shards)[shard])
        out = torch.full((LENGTH,), float("nan"))
        ShardSum(Threads(rank, hosts, tables), num_shards=num_shards)(tree.sums, out, travel=travel)
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


def r(tensor: torch.Tensor) -> torch.Tensor:
    """To the nearest bfloat16, to an even one in the middle."""
    return tensor.to(torch.bfloat16).float()


def test_what_travels_as_bfloat16_is_rounded_and_added_up_in_float32() -> None:
    a, b = gradients(2)
    assert torch.equal(total(2, "ab", torch.bfloat16), r(r(a) + r(b)))
    a, b, c, d = gradients(4)
    assert torch.equal(total(4, "abcd", torch.bfloat16), r((r(a) + r(b)) + (r(c) + r(d))))
    assert torch.equal(total(4, "aabb", torch.bfloat16), r(r(r(a) + r(b)) + r(r(c) + r(d))))
    assert torch.equal(total(4, "aab", torch.bfloat16), r((r(a) + r(b)) + r(c + d)))
    assert torch.equal(total(4, "ab", torch.bfloat16), r(r(a + b) + r(c + d)))


def test_one_worker_rounds_nothing() -> None:
    assert torch.equal(total(3, "a", torch.bfloat16), total(3, "a"))


def test_bfloat16_halves_lie_at_the_even_one() -> None:
    halves = torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8, 1 + 2.0**-8 + 2.0**-20])
    assert r(halves).tolist() == [1.0, 1 + 2.0**-6, -1.0, 1 + 2.0**-7]


@given(st.integers(0, 40), st.integers(0, 40))
def test_blocks_cover_a_run_of_shards_once(start: int, length: int) -> None:
    blocks = blocks_of(range(start, start + length))
    assert [shard for block in blocks for shard in range(block.first, block.first + block.size)] == list(
        range(start, start + length)
    )
    assert all(block.first % block.size == 0 and block.size.bit_count() == 1 for block in blocks)
    assert len(blocks) <= 2 * max(1, length.bit_length())
