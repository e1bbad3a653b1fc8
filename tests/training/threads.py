"""A group of workers that are threads of one process, in the place of torch.distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import torch


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
