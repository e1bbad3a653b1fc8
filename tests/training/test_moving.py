"""Shards go from the worker that holds them to the one that takes them, whole; a worker keeps what it can."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from radspark.training.cache import SampleBatch, ShardCache, ShardName
from radspark.training.moving import move_shards
from radspark.training.room import Room, make_folders
from radspark.training.shards import Move, plan_moves, seat_workers

SIZES = {ShardName(split, shard, 2): size for split, size in (("train", 5), ("validation", 0)) for shard in range(2)}


class Pipe:
    """A group of two threads joined by a pair of sockets."""

    size = 2

    def __init__(self, rank: int, end: socket.socket) -> None:
        self.rank = rank
        self.end = end

    def send(self, tensor: torch.Tensor, target: int) -> None:
        self.end.sendall(tensor.numpy().tobytes())

    def receive_(self, tensor: torch.Tensor, source: int) -> None:
        received = self.end.recv(tensor.numel(), socket.MSG_WAITALL)
        tensor.copy_(torch.frombuffer(bytearray(received), dtype=torch.uint8))


def cache(folder: Path) -> ShardCache:
    return ShardCache(Room(make_folders([folder])), image_size=8, num_findings=2)


def fill(folder: Path, shard: int) -> None:
    rng = np.random.default_rng(shard)
    name = ShardName("train", shard, 2)
    images = rng.integers(0, 256, (5, 8, 8)).astype(np.uint8)
    labels = rng.random((5, 2)).astype(np.float32)
    cache(folder).fill({name: 5}, [SampleBatch(name, np.arange(5), images, labels, rng.integers(0, 99, 5))])


def test_a_shard_arrives_whole(tmp_path: Path) -> None:
    fill(tmp_path / "old", 1)
    ends = socket.socketpair()
    source, target = (Pipe(rank, end) for rank, end in enumerate(ends))
    with ends[0], ends[1]:
        sending = threading.Thread(
            target=move_shards,
            args=([Move(1, 0, 1)], cache(tmp_path / "old")),
            kwargs={"sizes": SIZES, "group": source},
        )
        sending.start()
        move_shards([Move(1, 0, 1)], cache(tmp_path / "new"), sizes=SIZES, group=target)
        sending.join()
    name = ShardName("train", 1, 2)
    sent, received = cache(tmp_path / "old").open(name, 5), cache(tmp_path / "new").open(name, 5)
    for before, after in zip(sent.arrays(), received.arrays(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert not cache(tmp_path / "new").holds(ShardName("train", 0, 2))


def test_what_a_worker_holds_is_not_moved() -> None:
    assert plan_moves([frozenset({0, 1}), frozenset({2, 3})], num_shards=4) == ([], [])


def test_what_nobody_holds_is_missing_and_the_rest_moves() -> None:
    held = [frozenset({1, 2}), frozenset[int]()]
    assert plan_moves(held, num_shards=4) == ([Move(2, 0, 1)], [0, 3])


@pytest.mark.parametrize(
    ("held", "hosts", "seats"),
    [
        ([{2, 3}, {0, 1}], "aa", [1, 0]),
        ([set(), {0, 1}], "aa", [1, 0]),
        ([{0}, {0, 1}], "aa", [1, 0]),
        ([set(), set()], "aa", [0, 1]),
        ([{0, 1, 2, 3}, {0, 1, 2, 3}], "aa", [0, 1]),
        ([{2, 3}, {0, 1}], "ab", [1, 0]),
        ([set(), {2, 3}, {0, 1}, set()], "abab", [2, 0, 1, 3]),
        ([{0}, {2}, {1}, {3}], "abab", [0, 2, 1, 3]),
    ],
)
def test_workers_of_a_host_sit_side_by_side_on_what_they_hold(
    held: list[set[int]], hosts: str, seats: list[int]
) -> None:
    assert seat_workers([frozenset(shards) for shards in held], hosts=hosts, num_shards=4) == seats
