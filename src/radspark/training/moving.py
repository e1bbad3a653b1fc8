"""Hands cached shards from the workers that hold them to those that take them, before the steps of a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from radspark.training.cache import CachedShard, ShardCache, ShardName
from radspark.training.collective import Group
from radspark.training.shards import Move

PIECE = 1 << 26
"""Bytes in one message."""


def move_shards(moves: Sequence[Move], cache: ShardCache, *, sizes: Mapping[ShardName, int], group: Group) -> None:
    """Send and receive what concerns this worker, in the order that is the same on all.

    Args:
        sizes: samples of each part of all splits.

    Raises:
        OSError: the disk of a receiver is full.
    """
    for move in moves:
        parts = {name: size for name, size in sizes.items() if name.shard == move.shard and size}
        if move.source == group.rank:
            for name, size in parts.items():
                for piece in _pieces(cache.open(name, size)):
                    group.send(torch.from_numpy(np.array(piece)), move.target)
        elif move.target == group.rank:
            with cache.new(parts) as shards:
                for name in parts:
                    for piece in _pieces(shards[name]):
                        group.receive_(torch.from_numpy(piece), move.source)


def _pieces(shard: CachedShard) -> list[NDArray[np.uint8]]:
    """All bytes of a shard, as views."""
    return [
        flat[start : start + PIECE]
        for flat in (array.reshape(-1).view(np.uint8) for array in shard.arrays())
        for start in range(0, len(flat), PIECE)
    ]
