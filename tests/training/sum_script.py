"""One worker of a group of processes that add up their shards; prints rank 0's port first, and last what came out."""

from __future__ import annotations

import json
import sys

import psutil
import torch

from radspark.training.collective import join_group, open_store, reach_store
from radspark.training.shards import shards_of_worker
from radspark.training.tree import Block, ShardSum, TreeSum


def gradient(shard: int) -> torch.Tensor:
    return torch.randn(120, generator=torch.Generator().manual_seed(shard)) * 10.0**shard


def main() -> None:
    rank, hosts, num_shards, port, kind = json.loads(sys.argv[1])
    device = torch.device(kind, rank if kind == "cuda" else None)
    torch.set_num_threads(1)
    if rank == 0:
        store = open_store(hosts[0], timeout_seconds=60)
        print(store.port, flush=True)
    else:
        store = reach_store(hosts[0], port, timeout_seconds=60)
    with join_group(store, rank=rank, hosts=hosts, timeout_seconds=60, device=kind) as group:
        shard_sum = ShardSum(group, num_shards=num_shards)
        tree = TreeSum()
        for shard in shards_of_worker(rank, num_shards=num_shards, num_workers=len(hosts)):
            tree.add(Block(shard, 1), gradient(shard).to(device))
        sums = [total.clone() for total in tree.sums]
        exact, rounded = torch.empty(120, device=device), torch.empty(120, device=device)
        shard_sum(tree.sums, exact)
        shard_sum(sums, rounded, travel=torch.bfloat16)
        state = group.broadcast(b"state" if rank == 0 else None)
        sockets = psutil.Process().net_connections("tcp4")
        listening = [s.laddr for s in sockets if s.status == psutil.CONN_LISTEN and s.laddr.port != store.port]
        group.sum_(torch.zeros(1))  # nobody leaves before all have looked
        print(
            json.dumps(
                [bytes(state).decode(), exact.tolist(), rounded.tolist(), sorted({laddr.ip for laddr in listening})]
            )
        )


if __name__ == "__main__":
    main()
